"""Old audit files go when there are too many, and what is left is still whole."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.audit_ground import INSTANCE_KEY, YES, act_of, lines_of

from ws_mcp.core.audit.chain import chain_key
from ws_mcp.core.audit.journal import AuditJournal, open_journal
from ws_mcp.core.audit.review import Worth, files_of, reviewed

pytestmark = pytest.mark.usefixtures("real_io")
FILE_BYTES, KEEP_BYTES = 20_000, 200_000  # a file that is open has up to 64 KiB of room beside


@asynccontextmanager
async def journal_in(state: Path, keep_bytes: int = KEEP_BYTES) -> AsyncGenerator[AuditJournal]:
    opened = open_journal(state, INSTANCE_KEY, clean=str, max_bytes=FILE_BYTES, keep_bytes=keep_bytes)
    async with opened as journal:
        yield journal


async def write(journal: AuditJournal, acts: int) -> None:
    for _ in range(acts):
        journal.conclude(await journal.intend(act_of("list_processes", reads=True), YES), "ok")


def worths(state: Path) -> set[Worth]:
    return {each.worth for each in reviewed(files_of(state), chain_key(INSTANCE_KEY))}


def size_of(state: Path) -> int:
    return sum(file.stat().st_size for file in files_of(state))


async def test_the_oldest_files_go_and_the_rest_is_whole(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await write(journal, 600)
        first = files_of(tmp_path)[0].name
        await write(journal, 600)
    assert first not in {file.name for file in files_of(tmp_path)}
    assert size_of(tmp_path) < KEEP_BYTES + FILE_BYTES + (64 << 10)
    assert worths(tmp_path) == {Worth.WHOLE}
    assert any(line["kind"] == "removed" for line in lines_of(tmp_path))


async def test_without_a_bound_all_are_kept(tmp_path: Path) -> None:
    async with journal_in(tmp_path, 0) as journal:
        await write(journal, 600)
    assert size_of(tmp_path) > KEEP_BYTES
    assert worths(tmp_path) == {Worth.WHOLE}


async def test_a_file_that_somebody_removed_is_still_missed(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        await write(journal, 700)
    files_of(tmp_path)[0].unlink()
    assert Worth.DAMAGED in worths(tmp_path)


async def test_what_a_server_still_writes_stays_and_what_was_said_is_said_again(tmp_path: Path) -> None:
    async with journal_in(tmp_path, 0) as living:
        await write(living, 60)
        open_one = files_of(tmp_path)[-1]
        os.utime(open_one, (0, 0))
        for _ in range(3):
            async with journal_in(tmp_path) as other:
                await write(other, 400)
        assert open_one.exists()
        assert Worth.DAMAGED not in worths(tmp_path)
    assert worths(tmp_path) == {Worth.WHOLE}
