"""The gate: nothing has an effect that was not let through, and all that was or was not is written down."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from mcp import MCPError
from support.edge_client import MODES, call, open_client
from support.fake_core import FakeCore
from support.memory_journal import MemoryJournal
from support.peers import text_of

from ws_mcp.core.errors import LimitError
from ws_mcp.core.policy.acts import Act, Verdict
from ws_mcp.edge.gate import Guards

START = {"command": "true", "workspace": "main"}


def only_reads(act: Act) -> Verdict:
    """Decide as a server does that is for reading only."""
    return Verdict(is_allowed=act.is_read_only, rule="read_only", reason="this server is for reading only")


@contextmanager
def no_room(act: Act) -> Generator[None]:
    """Too many of whatever it is."""
    raise LimitError(f"too many calls of {act.verb}")
    yield


@pytest.mark.parametrize("mode", MODES)
async def test_what_the_policy_refuses_has_no_effect_and_is_written_down(mode: str) -> None:
    core, journal = FakeCore(), MemoryJournal()
    async with open_client(core, mode, guards=Guards(decide=only_reads, journal=journal)) as client:
        refused = await call(client, "start_process", **START)
        assert (refused.is_error, text_of(refused)) == (True, "this server is for reading only")
        assert not (await call(client, "list_processes")).is_error
    assert journal.lines == [
        ("start_process", "", "read_only"),
        ("1", "denied", "read_only"),
        ("list_processes", "", "read_only"),
        ("3", "ok", ""),
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_is_done_that_cannot_be_written_down(mode: str) -> None:
    async with open_client(FakeCore(), mode, guards=Guards(journal=MemoryJournal(is_full=True))) as client:
        refused = await call(client, "provision_workspace")
        assert text_of(refused) == "the audit log cannot be written: no space is left; nothing was done"


@pytest.mark.parametrize("mode", MODES)
async def test_calls_for_which_there_is_no_room_are_refused(mode: str) -> None:
    journal = MemoryJournal()
    async with open_client(FakeCore(), mode, guards=Guards(admit=no_room, journal=journal)) as client:
        assert text_of(await call(client, "list_containers")) == "too many calls of list_containers"
    assert journal.lines == [("list_containers", "", "limit"), ("1", "denied", "limit")]


class Tally:
    """A measure in memory."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[tuple[str, str, str]] = []

    def begin(self) -> None:
        self.begun += 1

    def end(self, verb: str, outcome: str, seconds: float, rule: str) -> None:
        self.ended.append((verb, outcome, rule))


@pytest.mark.parametrize("mode", MODES)
async def test_every_act_is_counted_by_what_became_of_it(mode: str) -> None:
    tally = Tally()
    for guards in (
        Guards(measure=tally),
        Guards(measure=tally, decide=only_reads),
        Guards(measure=tally, admit=no_room),
        Guards(measure=tally, journal=MemoryJournal(is_full=True)),
    ):
        async with open_client(FakeCore(), mode, guards=guards) as client:
            await call(client, "provision_workspace")
            await call(client, "read_output", process_id="p_unknown1")
    assert tally.begun == len(tally.ended)
    assert [(outcome, rule) for _, outcome, rule in tally.ended] == [
        ("ok", ""),
        ("failed", ""),
        ("denied", "read_only"),
        ("failed", ""),
        ("denied", "limit"),
        ("denied", "limit"),
        ("failed", ""),
        ("failed", ""),
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_resources_go_through_the_same_gate(mode: str) -> None:
    journal = MemoryJournal()

    def nothing(act: Act) -> Verdict:
        return Verdict(is_allowed=False, rule="none", reason="nothing is allowed here")

    async with open_client(FakeCore(), mode, guards=Guards(decide=nothing, journal=journal)) as client:
        with pytest.raises(MCPError, match="nothing is allowed here"):
            await client.read_resource("ws://containers")
    assert journal.lines == [("resources/read", "ws://containers", "none"), ("1", "denied", "none")]


@pytest.mark.parametrize("mode", MODES)
async def test_what_fails_is_written_down_as_failed(mode: str) -> None:
    journal = MemoryJournal()
    async with open_client(FakeCore(), mode, guards=Guards(journal=journal)) as client:
        answer: Any = await call(client, "read_output", process_id="p_unknown1")
        assert answer.is_error
    assert journal.lines[-1] == ("1", "failed", "NotFoundError")
