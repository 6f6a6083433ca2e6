"""Completions through a client of each era: what is the caller's own, best fit first, and nothing of anybody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, lists, none, recursive, sampled_from, text
from mcp import Client, MCPError
from mcp.types import Completion, PromptReference, ResourceTemplateReference
from support.edge_client import ALICE, MODES, ok, open_client
from support.fake_core import DEV, FakeCore
from support.memory_journal import MemoryJournal
from support.policies import everything, in_force

from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.ids import PrincipalId, Scope
from ws_mcp.core.workspaces.model import WorkspaceListing
from ws_mcp.edge.guards import Guards
from ws_mcp.edge.looks import COMPLETE, targets_of
from ws_mcp.edge.uris import CHAT_CONTAINERS, OUTPUT, PROCESSES
from ws_mcp.edge.wanted import SOURCES, fitting

STRANGER = PrincipalId("local:2000")


async def of_template(client: Client, uri: str, name: str, typed: str = "", chat: str = "") -> Completion:
    given = {"chat": chat} if chat else None
    reference = ResourceTemplateReference(uri=uri)
    return (await client.complete(reference, {"name": name, "value": typed}, given)).completion


async def of_prompt(client: Client, prompt: str, name: str, typed: str = "") -> list[str]:
    return (await client.complete(PromptReference(name=prompt), {"name": name, "value": typed})).completion.values


async def started(client: Client, count: int = 1) -> tuple[str, list[str]]:
    chat = (await ok(client, "provision_workspace"))["chat"]
    return chat, [(await ok(client, "start_process", command="x"))["process_id"] for _ in range(count)]


def with_projects(*folders: str) -> FakeCore:
    core = FakeCore()
    for folder in folders:
        name = folder.rpartition("/")[2]
        core.devcontainers.there[name] = replace(DEV, name=name, key=Key(folder=folder, config=f"{folder}/x.json"))
    return core


@pytest.mark.parametrize("mode", ["legacy", "auto"])  # a client that is told its era does not ask what there is
async def test_all_that_is_completed_is_there_to_be_completed(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        assert client.server_capabilities is not None
        assert client.server_capabilities.completions is not None
        templates = {each.uri_template for each in (await client.list_resource_templates()).resource_templates}
        prompts = {
            (each.name, argument.name)
            for each in (await client.list_prompts()).prompts
            for argument in each.arguments or ()
        }
    for asked, name in SOURCES:
        is_variable = asked in templates and f"{{{name}}}" in str(asked)
        assert is_variable or (asked, name) in prompts, (asked, name)


@pytest.mark.parametrize("mode", MODES)
async def test_the_chat_is_the_callers_own_and_looking_makes_none(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        (before,) = (await of_template(client, PROCESSES, "chat")).values
        assert core.chats_by == {}
        chat, _ = await started(client)
        await ok(client, "provision_workspace", chat="new", name="other")
        assert before == chat
        for uri in (PROCESSES, CHAT_CONTAINERS, OUTPUT):
            assert (await of_template(client, uri, "chat", chat[:4])).values == [chat]
        assert (await of_template(client, PROCESSES, "chat", "x_")).values == []
    async with open_client(core, mode, hint=None) as client:
        assert (await of_template(client, PROCESSES, "chat")).values == []


@pytest.mark.parametrize("mode", MODES)
async def test_processes_are_those_of_the_chat_that_was_filled_in(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        chat, (one, two) = await started(client, 2)
        other = (await ok(client, "provision_workspace", chat="new"))["chat"]
        third = (await ok(client, "start_process", command="x", chat=other))["process_id"]
        assert (await of_template(client, OUTPUT, "process", chat=chat)).values == [one, two]
        assert (await of_template(client, OUTPUT, "process", two[:-1], chat)).values == [one, two]
        assert (await of_template(client, OUTPUT, "process", two, chat)).values == [two]
        assert (await of_template(client, OUTPUT, "process", chat=other)).values == [third]
        assert (await of_template(client, OUTPUT, "process")).values == []  # of which chat?


@pytest.mark.parametrize("mode", MODES)
async def test_foreign_and_unknown_are_the_same_answer(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        chat, (process,) = await started(client)
    async with open_client(core, mode, principal=STRANGER) as client:
        own, (mine,) = await started(client)
        for typed in ("", process, mine):
            foreign = await of_template(client, OUTPUT, "process", typed, chat)
            assert foreign == await of_template(client, OUTPUT, "process", typed, "c_none")
            assert foreign == Completion(values=[], has_more=False)
        assert (await of_template(client, PROCESSES, "chat", chat)).values == []
        assert (await of_template(client, OUTPUT, "process", process, own)).values == []
    async with open_client(core, mode, principal=PrincipalId("local:3000")) as client:
        assert await of_prompt(client, "start_dev_server", "workspace") == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_server_can_be_started_where_processes_can_run(mode: str) -> None:
    async with open_client(with_projects("/src/shop"), mode) as client:
        await ok(client, "provision_workspace", name="main")
        await ok(client, "provision_workspace", name="web")
        await ok(client, "provision_workspace", name="elsewhere", chat="new")
        assert await of_prompt(client, "start_dev_server", "workspace") == ["main", "web", "shop"]
        assert await of_prompt(client, "start_dev_server", "workspace", "W") == ["web"]
        assert await of_prompt(client, "start_dev_server", "command", "n") == []


@pytest.mark.parametrize("mode", MODES)
async def test_folders_are_found_by_their_beginning_and_by_what_is_in_them(mode: str) -> None:
    async with open_client(with_projects("/x/src/a", "/src/shop", "/src/app", "/src/bad\nname"), mode) as client:
        folders = await of_prompt(client, "rebuild_devcontainer", "folder")
        assert folders == ["/x/src/a", "/src/shop", "/src/app"]
        assert await of_prompt(client, "rebuild_devcontainer", "folder", "/src") == [
            "/src/shop",
            "/src/app",
            "/x/src/a",
        ]
        assert await of_prompt(client, "rebuild_devcontainer", "folder", "app") == ["/src/app"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("count", "has_more"), [(100, False), (101, True)])
async def test_more_than_a_hundred_are_not_sent_but_told_of(mode: str, count: int, has_more: bool) -> None:
    async with open_client(with_projects(*(f"/src/p{number}" for number in range(count))), mode) as client:
        reference = PromptReference(name="rebuild_devcontainer")
        found = (await client.complete(reference, {"name": "folder", "value": "/src"})).completion
    assert (len(found.values), found.has_more) == (100, has_more)


@pytest.mark.parametrize("mode", MODES)
async def test_what_there_is_not_has_no_values(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        chat, _ = await started(client)
        assert (await of_template(client, "ws://no/{chat}", "chat")).values == []
        assert (await of_template(client, OUTPUT, "offset", chat=chat)).values == []
        assert await of_prompt(client, "no_such", "workspace") == []
        assert await of_prompt(client, "clean_up_chat", "workspace") == []


class Silent(FakeCore):
    """A core whose workspaces nobody can tell."""

    async def workspaces(self, scope: Scope) -> WorkspaceListing:
        raise EngineUnavailableError("no container engine answers")


@pytest.mark.parametrize("mode", MODES)
async def test_what_cannot_be_told_now_leaves_the_rest(mode: str) -> None:
    core = Silent()
    core.devcontainers.there["app"] = DEV
    async with open_client(core, mode) as client:
        assert await of_prompt(client, "start_dev_server", "workspace") == ["app"]


@pytest.mark.parametrize("mode", MODES)
async def test_who_may_not_list_is_not_told_by_a_completion(mode: str) -> None:
    core = with_projects("/src/shop")
    async with open_client(core, mode) as client:
        chat, (process,) = await started(client)
    for tools, is_told in (("list_containers", False), ("list_processes", True)):
        journal = MemoryJournal()
        decide = in_force(everything(ALICE, tools=(tools,))).decide
        async with open_client(core, mode, guards=Guards(decide=decide, journal=journal)) as client:
            if is_told:
                assert (await of_template(client, OUTPUT, "process", chat=chat)).values == [process]
                for prompt, name in (("start_dev_server", "workspace"), ("rebuild_devcontainer", "folder")):
                    with pytest.raises(MCPError, match="does not give you list_containers"):
                        await of_prompt(client, prompt, name)
            else:
                assert await of_prompt(client, "rebuild_devcontainer", "folder") == ["/src/shop"]
                with pytest.raises(MCPError, match="does not give you list_processes"):
                    await of_template(client, OUTPUT, "process", chat=chat)
            assert (COMPLETE, f"ws://chats/{chat}/processes", f"grant '{ALICE}'") in [
                (verb, target, rule.rpartition(": ")[0] or rule) for verb, target, rule in journal.lines
            ]


def test_a_reference_is_judged_as_it_is_answered_whatever_it_says_of_its_kind() -> None:
    argument, context = {"name": "process", "value": ""}, {"arguments": {"chat": "c/d"}}
    for reference in ({"uri": OUTPUT}, {"type": "ref/prompt", "uri": OUTPUT, "name": "x"}, {"name": OUTPUT}):
        asked = {"ref": reference, "argument": argument, "context": context}
        assert targets_of(COMPLETE, asked) == ("ws://chats/c%2Fd/processes",)


WORDS = text(max_size=3) | sampled_from(["chat", "process", "folder", OUTPUT, "rebuild_devcontainer"])
ANYTHING = recursive(none() | WORDS, lambda part: lists(part, max_size=2) | dictionaries(WORDS, part, max_size=2))
KEYS = sampled_from(["ref", "argument", "context"])


@given(
    params=ANYTHING | dictionaries(KEYS, dictionaries(sampled_from(["uri", "name", "value", "arguments"]), ANYTHING))
)
def test_whatever_was_sent_is_about_a_list_of_ours_or_nothing(params: object) -> None:
    for target in targets_of(COMPLETE, params):
        assert target == "ws://devcontainers" or target.endswith("/processes")


@given(values=lists(text("aAb/\n", max_size=4), max_size=8), typed=text("aAb", max_size=2))
def test_what_begins_so_comes_first_and_each_once(values: list[str], typed: str) -> None:
    found = fitting(values, typed)
    begins = [value.casefold().startswith(typed.casefold()) for value in found]
    assert begins == sorted(begins, reverse=True)
    assert len(found) == len(set(found))
    assert set(found) == {value for value in values if typed.casefold() in value.casefold() and "\n" not in value}
