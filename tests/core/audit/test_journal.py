"""What is asked for is on the disk before it is done, and what became of it after."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel
from support.audit_ground import INSTANCE_KEY, NO, YES, act_of, full_disk, lines_of

from ws_mcp.core.audit.chain import chain_key
from ws_mcp.core.audit.journal import open_journal
from ws_mcp.core.audit.review import Worth, files_of, reviewed
from ws_mcp.core.errors import StateError
from ws_mcp.core.redaction import Redactor

pytestmark = pytest.mark.usefixtures("real_io_both")


def as_it_is(text: str) -> str:
    return text


def content_of(state: Path) -> bytes:
    return files_of(state)[0].read_bytes().rstrip(b"\0")


def is_whole(state: Path) -> bool:
    return all(each.worth is Worth.WHOLE for each in reviewed(files_of(state), chain_key(INSTANCE_KEY)))


async def test_an_act_has_an_intent_and_an_outcome_and_no_value_that_may_be_secret(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=as_it_is) as journal:
        act = act_of(command="echo hunter2", workspace="main", env={"TOKEN": "hunter2"})
        intent = await journal.intend(act, YES)
        assert [line["kind"] for line in lines_of(tmp_path)] == ["open", "intent"]
        journal.conclude(intent, "ok", made={"process": "p_1"})
    opened, intended, outcome, closed = lines_of(tmp_path)
    assert (opened["kind"], closed["kind"]) == ("open", "close")
    assert len(str(intended.pop("arguments"))) == 32
    assert intended == {
        "seq": 2,
        "kind": "intent",
        "principal": "alice",
        "chat": "a" * 24,
        "via": "stdio",
        "verb": "start_process",
        "shown": {"workspace": "main"},
        "decision": "allow",
        "rule": "no policy",
    }
    assert outcome == {"seq": 3, "kind": "outcome", "of": 2, "outcome": "ok", "made": {"process": "p_1"}}
    assert b"hunter2" not in files_of(tmp_path)[0].read_bytes()
    assert is_whole(tmp_path)


class Options(BaseModel):
    runtime: str = ""
    secrets: dict[str, str] = {}


async def test_of_options_only_those_that_are_listed_are_shown_and_known_secrets_are_taken_out(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.add("hunter2-hunter2")
    async with open_journal(tmp_path, INSTANCE_KEY, clean=redactor.clean) as journal:
        options = Options(runtime="py", secrets={"token": "unknown-secret"})
        await journal.intend(act_of("provision_workspace", image="x/hunter2-hunter2:1", options=options), YES)
    assert lines_of(tmp_path)[1]["shown"] == {"image": "x/[redacted]:1", "options.runtime": "py"}
    assert b"unknown-secret" not in files_of(tmp_path)[0].read_bytes()


async def test_equal_arguments_have_one_digest_and_others_another(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=as_it_is) as journal:
        for arguments in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "1", "b": "3"}, {"a": "\ud800"}):
            await journal.intend(act_of("list_processes", reads=True, **arguments), YES)
    first, same, other, half = (line["arguments"] for line in lines_of(tmp_path)[1:5])
    assert first == same
    assert len({first, other, half}) == 3


async def test_intents_that_come_at_once_are_all_written_and_none_is_mixed_up(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=as_it_is, max_bytes=20_000) as journal:

        async def one(number: int) -> None:
            journal.conclude(await journal.intend(act_of(name=f"n{number}"), YES), "ok", made={"name": f"n{number}"})

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(one, number)
    lines = lines_of(tmp_path)
    assert len(files_of(tmp_path)) > 2
    assert sorted(str(line["made"]) for line in lines if "made" in line) == sorted(
        str({"name": f"n{number}"}) for number in range(200)
    )
    assert is_whole(tmp_path)


async def test_on_a_full_disk_what_changes_something_is_refused_and_reading_goes_on(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=as_it_is) as journal:
        await journal.intend(act_of(), YES)
        size = len(content_of(tmp_path))
        with full_disk(size + 20):  # a part of the line is written
            with pytest.raises(
                StateError, match=r"^the audit log cannot be written \(File too large\), so nothing was"
            ):
                await journal.intend(act_of(), YES)
            assert journal.problem == "File too large"
            assert await journal.intend(act_of("read_output", reads=True), YES) == ""
            assert await journal.intend(act_of(), NO) == ""
        assert len(content_of(tmp_path)) == size
        # There is room again.
        journal.conclude(await journal.intend(act_of(), YES), "ok")
        assert (journal.problem, journal.errors) == ("", 3)
    kinds = [line["kind"] for line in lines_of(tmp_path)]
    assert kinds == ["open", "intent", "gap", "intent", "outcome", "close"]
    assert lines_of(tmp_path)[2]["missed"] == 3
    assert is_whole(tmp_path)


async def test_a_disk_that_is_full_from_the_start_leaves_no_half_file(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=as_it_is) as journal:
        with full_disk(), pytest.raises(StateError):
            await journal.intend(act_of(), YES)
        assert files_of(tmp_path) == []
        await journal.intend(act_of(), YES)
    assert is_whole(tmp_path)


async def test_an_act_that_is_cancelled_while_it_waits_for_the_disk_is_said_to_be_cut_short(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=as_it_is) as journal:
        journal._sync_s = 1.0  # as after a slow one: the next is in a thread

        async def other() -> None:
            journal.conclude(await journal.intend(act_of(name="other"), YES), "ok")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            while not journal._is_syncing:
                await anyio.lowlevel.checkpoint()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await journal.intend(act_of(name="late"), YES)
    lines = lines_of(tmp_path)
    (late,) = (line["seq"] for line in lines if line.get("shown") == {"name": "late"})
    (of_late,) = (line for line in lines if line.get("of") == late)
    assert of_late["outcome"] == "cut short"
    assert is_whole(tmp_path)


async def test_a_file_of_which_the_disk_is_in_doubt_is_left_for_another(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=as_it_is) as journal:
        await journal.intend(act_of(), YES)
        handle = journal._file._handle
        assert handle is not None
        reading, writing = os.pipe()
        os.dup2(writing, handle)  # what cannot be synced
        with pytest.raises(StateError):
            await journal.intend(act_of(), YES)
        os.close(reading)
        os.close(writing)
        journal.conclude(await journal.intend(act_of(), YES), "ok")
    assert [line["kind"] for line in lines_of(tmp_path)][-4:] == ["gap", "intent", "outcome", "close"]
    assert len(files_of(tmp_path)) == 2
