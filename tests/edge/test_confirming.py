"""The person at the host is asked before what cannot be undone, in the words of what it is, in both eras."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import ElicitRequestFormParams, ElicitResult, InputRequiredResult, InputResponse
from support.edge_client import MODES, call, ok, open_client, refused
from support.fake_core import DEV, FakeCore
from support.memory_journal import MemoryJournal

from ws_mcp.core.policy.acts import Act, Verdict
from ws_mcp.edge.confirming import Confirm
from ws_mcp.edge.guards import Guards

YES, NO = ElicitResult(action="accept", content={"confirm": True}), ElicitResult(action="decline")


class Person:
    """Who sits at the host, and what they were asked."""

    def __init__(self, answer: ElicitResult) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(self, _context: Any, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params.message)
        return self.answer


@asynccontextmanager
async def asking(
    mode: str, person: Person | None, how: Confirm = Confirm.ALWAYS, core: FakeCore | None = None, **guards: Any
) -> AsyncGenerator[Client]:
    more: dict[str, Any] = {"elicitation_callback": person} if person else {}
    async with open_client(core or FakeCore(), mode, guards=Guards(confirm=lambda: how, **guards), **more) as client:
        yield client


@pytest.mark.parametrize("mode", MODES)
async def test_a_tier_that_is_root_on_the_host_is_given_after_a_yes_only(mode: str) -> None:
    core, person = FakeCore(), Person(NO)
    async with asking(mode, person, core=core) as client:
        assert "did not say yes; nothing was done" in await refused(client, "provision_workspace", tier=3, name="x")
        assert core.specs == []
        person.answer = YES
        await ok(client, "provision_workspace", tier=3, name="x")
        question = "Give the workspace 'x' tier 3? It is root on the host of the container engine."
        assert person.asked == [question, question]
        assert len(core.specs) == 1
        await ok(client, "provision_workspace", tier=3, name="x")  # it has it already
        await ok(client, "provision_workspace", tier=4, name="x", options={"dry_run": True})
        await ok(client, "provision_workspace", tier=2, name="y")
        assert len(person.asked) == 2


@pytest.mark.parametrize("mode", MODES)
async def test_removal_is_confirmed_where_it_ends_processes_or_takes_data(mode: str) -> None:
    core, person = FakeCore(), Person(NO)
    async with asking(mode, person, core=core) as client:
        await ok(client, "provision_workspace")
        await ok(client, "start_process", command="x", wait_s=0)
        await refused(client, "remove_workspace", name="main")
        await refused(client, "remove_workspace", name="main", keep_data=False)
        await refused(client, "remove_workspace", name="*", keep_data=False)
        await refused(client, "provision_workspace", options={"replace": "always"})
        assert person.asked == [
            "Remove the workspace 'main'? That ends 1 running process.",
            "Remove the workspace 'main' with all its files? That ends 1 running process.",
            "Remove all workspaces of this chat with all its files? That ends 1 running process.",
            "Make the workspace 'main' anew, if it differs? That ends 1 running process.",
        ]
        assert (await ok(client, "list_containers"))["workspaces"]
        await ok(client, "signal_process", process_id="p_00000001")
        await ok(client, "provision_workspace", options={"replace": "always"})
        assert len(person.asked) == 4
        person.answer = YES
        await ok(client, "remove_workspace", name="main", keep_data=False)
        assert person.asked[-1] == "Remove the workspace 'main' with all its files? Nothing runs in it."


@pytest.mark.parametrize("mode", MODES)
async def test_what_the_operator_says_of_asking_counts_from_the_next_call(mode: str) -> None:
    core, person, said = FakeCore(), Person(NO), [Confirm.NEVER]
    guards = Guards(confirm=lambda: said[-1])
    async with open_client(core, mode, guards=guards, elicitation_callback=person) as client:
        await ok(client, "provision_workspace", tier=3, name="x")
        said.append(Confirm.ALWAYS)
        await refused(client, "provision_workspace", tier=3, name="y")
        assert (len(core.specs), len(person.asked)) == (1, 1)


@pytest.mark.parametrize("mode", MODES)
async def test_a_dev_container_in_which_processes_run_is_made_anew_after_a_yes(mode: str) -> None:
    core, person = FakeCore(), Person(NO)
    core.devcontainers.there = {"app": DEV}
    async with asking(mode, person, core=core) as client:
        await ok(client, "recreate_devcontainer", name="app")
        assert person.asked == []
        await ok(client, "provision_workspace", name="app")
        await ok(client, "start_process", command="x", workspace="app", wait_s=0)
        for target in ({"name": "app"}, {"folder": "/src/app"}):
            await refused(client, "recreate_devcontainer", **target)
        await ok(client, "recreate_devcontainer", name="app", dry_run=True)
        assert person.asked == ["Make the dev container 'app' anew? That ends 1 running process."] * 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "answer",
    [
        NO,
        ElicitResult(action="cancel"),
        ElicitResult(action="accept", content={"confirm": False}),
        ElicitResult(action="accept", content={}),
        ElicitResult(action="accept", content={"confirm": "perhaps"}),
        ElicitResult(action="accept"),
    ],
)
async def test_whatever_is_no_yes_is_a_no(mode: str, answer: ElicitResult) -> None:
    core = FakeCore()
    async with asking(mode, Person(answer), core=core) as client:
        assert "nothing was done" in await refused(client, "provision_workspace", tier=4)
        assert core.specs == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_cannot_ask_is_let_through_or_not_as_the_operator_says(mode: str) -> None:
    core = FakeCore()
    async with asking(mode, None, core=core) as client:
        said = await refused(client, "provision_workspace", tier=3)
        assert "your client cannot ask; nothing was done. The person can do it with ws-mcp" in said
        assert core.specs == []
    async with asking(mode, None, Confirm.AUTO) as client:
        await ok(client, "provision_workspace", tier=3)


@pytest.mark.parametrize("mode", MODES)
async def test_nobody_is_asked_unless_the_operator_wants_it(mode: str) -> None:
    person = Person(NO)
    async with asking(mode, person, Confirm.NEVER) as client:
        await ok(client, "provision_workspace", tier=4)
    assert person.asked == []


@pytest.mark.parametrize("mode", MODES)
async def test_what_the_policy_refuses_is_not_asked(mode: str) -> None:
    def nothing(_: Act) -> Verdict:
        return Verdict(is_allowed=False, rule="none", reason="not allowed")

    person = Person(YES)
    async with asking(mode, person, decide=nothing) as client:
        assert await refused(client, "provision_workspace", tier=4) == "not allowed"
    assert person.asked == []


async def test_a_question_leaves_no_success_in_the_journal() -> None:
    for mode, asked in ((MODES[0], []), (MODES[1], [("provision_workspace", "failed", "UnansweredError")])):
        journal = MemoryJournal()
        async with asking(mode, Person(YES), journal=journal) as client:
            await ok(client, "provision_workspace", tier=4)
        assert journal.outcomes == [*asked, ("provision_workspace", "ok", "")]


async def test_a_yes_to_one_question_is_none_to_another() -> None:
    core = FakeCore()
    async with asking(MODES[1], Person(YES), core=core) as client:
        wish = {"tier": 3, "name": "x"}
        first = await client.session.call_tool("provision_workspace", wish, allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        answers: dict[str, InputResponse] = dict.fromkeys(first.input_requests or {}, YES)
        assert answers
        with pytest.raises(MCPError, match="requestState"):
            await client.session.call_tool(
                "provision_workspace",
                {"tier": 4, "name": "y"},
                input_responses=answers,
                request_state=first.request_state,
                allow_input_required=True,
            )
        assert core.specs == []


@pytest.mark.parametrize("is_shared", [True, False])
async def test_a_yes_to_one_server_is_one_to_another_that_has_the_same_seal(is_shared: bool) -> None:
    core, person = FakeCore(), Person(YES)
    guards = Guards(confirm=lambda: Confirm.ALWAYS)
    one, other = [
        open_client(core, "auto", guards=guards, elicitation_callback=person, seal=key * 32)
        for key in (b"a", b"a" if is_shared else b"b")
    ]
    wish = {"tier": 3, "name": "x"}
    async with one as first, other as second:
        asked = await first.session.call_tool("provision_workspace", wish, allow_input_required=True)
        assert isinstance(asked, InputRequiredResult)
        answers: dict[str, InputResponse] = dict.fromkeys(asked.input_requests or {}, YES)
        said = second.session.call_tool(
            "provision_workspace", wish, input_responses=answers, request_state=asked.request_state
        )
        if is_shared:
            assert not (await said).is_error
        else:
            with pytest.raises(MCPError, match="requestState"):
                await said
    assert len(core.specs) == (1 if is_shared else 0)


@pytest.mark.parametrize("mode", MODES)
async def test_a_name_cannot_write_a_question_of_its_own(mode: str) -> None:
    person = Person(NO)
    async with asking(mode, person) as client:
        await call(client, "provision_workspace", tier=3, name="x'\n\nNothing happens, say yes \u202e" + "y" * 400)
    assert len(person.asked[0]) < 250
    assert "\n" not in person.asked[0]
    assert "\u202e" not in person.asked[0]
