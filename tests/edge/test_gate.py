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
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.quotas import Quotas
from ws_mcp.edge.guards import Guards

START = {"command": "true", "workspace": "main"}


def only_reads(act: Act) -> Verdict:
    """Decide as a server does that is for reading only."""
    return Verdict(is_allowed=act.is_read_only, rule="read_only", reason="this server is for reading only")


@contextmanager
def no_room(act: Act) -> Generator[None]:
    """Too many of whatever it is, but for the beginning of a session."""
    if act.verb != "initialize":
        raise LimitError(f"too many calls of {act.verb}")
    yield


def begins_with(mode: str) -> int:
    """The requests of a client before its first call: they count, too."""
    return int(mode == "legacy")


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


UNFIT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("start_process", {"command": "true", "no_such": "private"}),
    ("start_process", {"command": ["true"], "wait_s": "private"}),
    ("start_process", {}),
    ("read_output", {"process_id": {"private": "private"}}),
    ("provision_workspace", {"options": {"no_such": "private"}}),
    ("no_such_tool", {"command": "private"}),
)
VERBS = [tool if tool != "no_such_tool" else "tools/call" for tool, _ in UNFIT]


class LastActs(MemoryJournal):
    """A journal that keeps the acts themselves, too."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Act] = []

    async def intend(self, act: Act, verdict: Verdict) -> str:
        self.asked.append(act)
        return await super().intend(act, verdict)


@pytest.mark.parametrize("mode", MODES)
async def test_calls_that_cannot_be_made_are_written_down_without_their_values_and_counted(mode: str) -> None:
    core, journal, tally, judged = FakeCore(), LastActs(), Tally(), list[Act]()

    def decide(act: Act) -> Verdict:
        judged.append(act)
        return Verdict(is_allowed=True, rule="any")

    async with open_client(core, mode, guards=Guards(decide=decide, journal=journal, measure=tally)) as client:
        for tool, arguments in UNFIT:
            assert (await call(client, tool, **arguments)).is_error
    assert journal.outcomes == [(verb, "denied", "arguments") for verb in VERBS]
    assert tally.ended == [(verb, "denied", "arguments") for verb in VERBS]
    # What was not checked is judged by nobody and written nowhere.
    assert [dict(act.arguments) for act in (*judged, *journal.asked)] == [{}] * 2 * len(UNFIT)
    assert "private" not in repr(journal.asked)
    assert (core.specs, core.chats_by, core.by_scope) == ([], {}, {})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("tool", "arguments"), UNFIT)
async def test_calls_that_cannot_be_made_use_up_the_rate(mode: str, tool: str, arguments: dict[str, Any]) -> None:
    burst = 3 + begins_with(mode)
    guards = Guards(
        admit=Quotas(lambda: Limits(calls_per_s=1, calls_burst=burst, principal_times=1), lambda: 0.0).admit
    )
    async with open_client(FakeCore(), mode, guards=guards) as client:
        for _ in range(3):
            assert "the limit" not in text_of(await call(client, tool, **arguments))
        try:
            said = text_of(await call(client, tool, **arguments))
        except MCPError as error:
            said = str(error)
        assert "the limit `calls_per_s` is 1" in said
        assert "the limit `calls_per_s` is 1" in text_of(await call(client, "list_processes"))


@pytest.mark.parametrize("mode", MODES)
async def test_who_may_not_call_a_tool_is_not_told_how_to_call_it(mode: str) -> None:
    journal = MemoryJournal()
    async with open_client(FakeCore(), mode, guards=Guards(decide=only_reads, journal=journal)) as client:
        assert text_of(await call(client, "start_process", no_such=1)) == "this server is for reading only"
    assert journal.outcomes == [("start_process", "denied", "read_only")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("uri", ["ws://nothing", "file:///etc/passwd", "ws://chats/c_none/processes", ""])
async def test_addresses_of_nothing_are_counted_and_written_down(mode: str, uri: str) -> None:
    journal, tally = MemoryJournal(), Tally()
    limits = Limits(calls_per_s=1, calls_burst=2 + begins_with(mode), principal_times=1)
    guards = Guards(admit=Quotas(lambda: limits, lambda: 0.0).admit, journal=journal, measure=tally)
    core = FakeCore()
    async with open_client(core, mode, guards=guards) as client:
        for _ in range(2):
            with pytest.raises(MCPError):
                await client.read_resource(uri)
        with pytest.raises(MCPError, match="`calls_per_s` is 1"):
            await client.read_resource(uri)
    expected = [("failed", "MCPError"), ("failed", "MCPError"), ("denied", "limit")]
    assert [(outcome, detail) for _, outcome, detail in journal.outcomes] == expected
    assert [outcome for _, outcome, _ in tally.ended] == ["failed", "failed", "denied"]
    assert core.chats_by == {}


@pytest.mark.parametrize("mode", MODES)
async def test_a_refused_call_makes_no_chat_and_uses_none(mode: str) -> None:
    core, allowed = FakeCore(), set[str]()

    def decide(act: Act) -> Verdict:
        return Verdict(is_allowed=act.verb in allowed, rule="none", reason="not now")

    journal = LastActs()
    async with open_client(core, mode, guards=Guards(decide=decide, journal=journal)) as client:
        for tool, arguments in (("list_processes", {}), ("provision_workspace", {}), ("start_process", {"no": 1})):
            assert text_of(await call(client, tool, **arguments)) == "not now"
        with pytest.raises(MCPError, match="not now"):
            await client.read_resource("ws://containers")
        await client.list_resources()
        assert (core.chats_by, core.asked_chats) == ({}, [])
        allowed.add("list_processes")
        await call(client, "list_processes")
        (made,) = core.chats_by.values()
        # The audit names the chat that it would have been.
        assert {act.chat for act in journal.asked} == {made.id}
