"""Every change that we make to the state directory fails once: nothing half-made stays, and the next try works.

As SQLite does it: the Nth one fails, for N = 1, 2, ... until the script passes untouched.
"""

from __future__ import annotations

import errno
import re
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from support.faulty_disk import faulty_disk
from support.workspace_values import SCOPE

from ws_mcp.core.audit.chain import chain_key
from ws_mcp.core.audit.journal import open_journal
from ws_mcp.core.audit.review import Worth, files_of, reviewed
from ws_mcp.core.clock import utc_now
from ws_mcp.core.database import DATABASE, Instance
from ws_mcp.core.errors import WsError
from ws_mcp.core.host import sandbox
from ws_mcp.core.ids import Principal, PrincipalId, WorkspaceName
from ws_mcp.core.policy.acts import Act, Verdict
from ws_mcp.core.servers import open_servers
from ws_mcp.core.state import StartRecord, State, open_state
from ws_mcp.core.stores.rebuilding import damage_of, rebuild
from ws_mcp.core.stores.salvage import Table, salvaged
from ws_mcp.core.workspaces.local import LocalRules, LocalWorkspaces
from ws_mcp.core.workspaces.model import WorkspaceKind, WorkspaceSpec
from ws_mcp.edge.token_file import TokenFile
from ws_mcp.over_http import first_token

pytestmark = pytest.mark.usefixtures("real_io")

T = TypeVar("T")
Script = Callable[[Path], Awaitable[None]]

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
TEMPORARY = re.compile(r".*\.[0-9a-f]{8}|.*\.new|repair-.*")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = StartRecord(digest="d", process="p_1", place="w", boot="b")
MOST = 200
KEY = b"k" * 32


async def every_fault(top: Path, script: Script, check: Script, prepare: Script | None = None) -> int:
    """Run `script` on a new directory for each N, then again without a fault, then `check` it; returns how many."""
    for nth in range(1, MOST):
        directory = top / str(nth)
        directory.mkdir()
        if prepare is not None:
            await prepare(directory)
        with faulty_disk(top, nth, ERRORS[nth % len(ERRORS)]) as disk:
            said = await failure_of(script, directory)
        assert not said or disk.has_refused
        assert "\n" not in said
        await script(directory)
        await check(directory)
        left = [file.name for file in directory.rglob("*") if TEMPORARY.fullmatch(file.name)]
        assert left == [], nth
        shutil.rmtree(directory)
        if not disk.has_refused:
            return nth - 1
    raise AssertionError("it never passes")


async def failure_of(script: Script, directory: Path) -> str:
    """What it says when it fails; whatever is no expected failure ends the test."""
    try:
        await script(directory)
    except WsError as error:
        return str(error)
    return ""


async def use(state: State) -> None:
    await state.claim_start("c", "k", START, NOW)
    async with state.lock("place"), open_servers(state), state.open_bus(lambda _: None) as tell:
        await tell(["x"])


async def test_a_state_is_made_and_opened(tmp_path: Path) -> None:
    async def script(directory: Path) -> None:
        async with open_state(directory / "s") as state:
            await use(state)

    async def check(directory: Path) -> None:
        async with open_state(directory / "s") as state:
            assert await state.start_of_key("c", "k") == START

    assert await every_fault(tmp_path, script, check) >= 8


async def test_a_state_is_repaired(tmp_path: Path) -> None:
    instance = Instance(id="0" * 16, key=KEY)

    async def prepare(directory: Path) -> None:
        async with open_state(directory) as state:
            await state.claim_start("c", "k", START, NOW)
        with closing(sqlite3.connect(directory / DATABASE)) as database:
            database.execute("DROP TABLE tickets")
            database.commit()

    async def script(directory: Path) -> None:
        if damage_of(directory) is not None:
            rebuild(directory, instance, salvaged_by(directory), NOW)

    async def check(directory: Path) -> None:
        async with open_state(directory) as state:
            assert state.instance == instance
            assert await state.start_of_key("c", "k") == START
        assert [name.startswith(f"{DATABASE}.damaged-") for name in names_in(directory)].count(True) == 1

    assert await every_fault(tmp_path, script, check, prepare) >= 8


def names_in(directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir()]


def salvaged_by(directory: Path) -> tuple[Table, ...]:
    try:
        return salvaged(directory)
    except OSError as error:
        raise WsError(str(error)) from error


async def test_tokens_are_made_and_revoked(tmp_path: Path) -> None:
    async def script(directory: Path) -> None:
        first_token(TokenFile(directory / "tokens"), directory / "own")

    async def check(directory: Path) -> None:
        (record,) = TokenFile(directory / "tokens").records()
        token = (directory / "own").read_text().strip()
        assert TokenFile(directory / "tokens").principal_of(token)
        assert record.name

    assert await every_fault(tmp_path, script, check) >= 4


async def test_acts_are_written_down(tmp_path: Path) -> None:
    act = Act(principal=Principal(id=PrincipalId("me")), verb="start_process", is_read_only=False)

    async def script(directory: Path) -> None:
        async with open_journal(directory, KEY, clean=str, max_bytes=300) as journal:
            for _ in range(3):
                journal.conclude(await journal.intend(act, Verdict(is_allowed=True, rule="r")), "ok")

    async def check(directory: Path) -> None:
        found = [review for review in reviewed(files_of(directory), chain_key(KEY)) if review.worth is not Worth.WHOLE]
        assert [review for review in found if review.worth is Worth.DAMAGED] == []

    assert await every_fault(tmp_path, script, check) >= 6


@pytest.mark.slow
@pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed")
async def test_a_local_workspace_is_made_and_removed(tmp_path: Path) -> None:
    spec = WorkspaceSpec(name=WorkspaceName("main"), kind=WorkspaceKind.LOCAL)

    async def script(directory: Path) -> None:
        async with open_state(directory / "s") as state:
            local = LocalWorkspaces(state, LocalRules(), utc_now)
            made, _ = await local.provision(SCOPE, spec)
            assert [each.name for each in await local.list(SCOPE)] == ["main"]
            await local.remove(made.place, stop_nothing, keep_data=False)

    async def check(directory: Path) -> None:
        assert names_in(directory / "s" / "local") == []

    assert await every_fault(tmp_path, script, check) >= 12


async def stop_nothing() -> None:
    """It is killed."""
