"""What stays bounded at the gate whoever asks for what: refusals, requests that look at nothing, streams."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp import MCPError
from support.edge_client import MODES, PROJECT, call, open_client
from support.fake_core import FakeCore
from support.memory_journal import MemoryJournal
from support.peers import text_of
from support.policies import WIDEST, everything

from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.policy.model import Policy
from ws_mcp.core.quotas import Quotas
from ws_mcp.edge.guards import Guards
from ws_mcp.edge.looks import chat_in, targets_of
from ws_mcp.edge.sparing import TELL_S, Sparing

LOOKING = Policy(grants=(everything("*", tools=("list_containers",)),))
NOTHING = Policy()
CONTAINERS, PROCESSES = "ws://containers", "ws://chats/{}/processes"


class Said:
    """A policy that can be changed."""

    def __init__(self, policy: Policy) -> None:
        self.now = policy
        self.force = PolicyInForce(lambda: self.now, WIDEST, "stdio")


def admitting(burst: int) -> Any:
    return Quotas(lambda: Limits(calls_per_s=1, calls_burst=burst, principal_times=1), lambda: 0.0).admit


@pytest.mark.parametrize("mode", MODES)
async def test_who_may_nothing_may_not_ask_for_it_without_end(mode: str) -> None:
    journal, begun = MemoryJournal(), mode == "legacy"
    guards = Guards(decide=Said(NOTHING).force.decide, admit=admitting(3 + begun), journal=journal)
    async with open_client(FakeCore(), mode, guards=guards) as client:
        said = [text_of(await call(client, "list_containers")) for _ in range(30)]
    assert [("no grant" in each, "the limit `calls_per_s`" in each) for each in said] == [
        *[(True, False)] * 3,
        *[(False, True)] * 27,
    ]
    # What is beyond the limit is written down once in a while, with how many there were.
    assert [detail for _, _, detail in journal.outcomes] == [*["no grant"] * 3, "limit"]


@pytest.mark.parametrize("mode", MODES)
async def test_requests_that_look_at_nothing_count_as_well(mode: str) -> None:
    async with open_client(FakeCore(), mode, guards=Guards(admit=admitting(3 + (mode == "legacy")))) as client:
        for _ in range(3):
            await client.list_resource_templates()
        with pytest.raises(MCPError, match="the limit `calls_per_s` is 1"):
            await client.list_resource_templates()


def test_of_a_flood_of_refusals_some_are_told_with_the_number_of_the_others() -> None:
    now = [0.0]
    sparing, alice, bob = Sparing(lambda: now[0]), PrincipalId("alice"), PrincipalId("bob")
    assert [sparing.told(alice) for _ in range(4)] == ["limit", None, None, None]
    assert sparing.told(bob) == "limit"
    now[0] += TELL_S
    assert [sparing.told(alice), sparing.told(alice), sparing.told(bob)] == ["limit, and 3 more since", None, "limit"]


@pytest.mark.parametrize("wanted", [(PROCESSES,), (CONTAINERS, PROCESSES), (PROCESSES, CONTAINERS)])
async def test_a_stream_is_about_what_the_policy_gives_only(wanted: tuple[str, ...]) -> None:
    core, journal = FakeCore(), MemoryJournal()
    guards = Guards(decide=Said(LOOKING).force.decide, journal=journal)
    async with open_client(core, MODES[1], guards=guards) as client:
        chat = (await core.default_chat(PrincipalId("alice"), PROJECT.text)).handle
        addresses = [each.format(chat) for each in wanted]
        with pytest.raises(MCPError, match="does not give you list_processes"), anyio.fail_after(5):
            async with client.listen(resource_subscriptions=addresses):
                pass
        verb, target, _ = journal.lines[0]
        assert (verb, target) == ("subscriptions/listen", PROCESSES.format(chat))
        async with client.listen(resource_subscriptions=[CONTAINERS]):
            pass
    assert [line[1] for line in journal.lines if line[0] == "subscriptions/listen"][-1] == CONTAINERS


def test_what_a_look_is_about_is_read_from_whatever_was_sent() -> None:
    listen = "subscriptions/listen"
    assert targets_of(listen, {"notifications": {"resourceSubscriptions": ["a", "b", "a", 1, None]}}) == ("a", "b")
    for hostile in (None, [], "x", {}, {"notifications": []}, {"notifications": {"resourceSubscriptions": {"a": 1}}}):
        assert targets_of(listen, hostile) == ()
    assert targets_of("resources/read", {"uri": "ws://containers"}) == ("ws://containers",)
    assert targets_of("resources/read", {"uri": ["ws://containers"]}) == ()
    assert chat_in(("ws://chats/c/processes/p_1/output?tail=5",)) == {"chat": "c"}
    assert chat_in(("ws://chats/c/processes", "ws://chats/d/processes")) == {}
    assert chat_in(("ws://containers", "file:///etc/passwd")) == {}
