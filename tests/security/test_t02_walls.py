"""T02: three principals with three chats each: every tool, resource and subscription gives each its own, and nothing of
another chat or another user; foreign and unknown are one answer, byte for byte."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import ResourceTemplateReference
from support.edge_client import MODES
from support.many_people import Home, Town, open_town
from support.soaked import IS_LONG

from ws_mcp.core.host import sandbox
from ws_mcp.edge.uris import OUTPUT

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed"),
]

NOBODY = Home(owner="", chat="c_" + "A" * 22, id="0" * 24, workspace="nobody-0", process="p_zzzzzzzz")
BY_CHAT: dict[str, dict[str, Any]] = {
    "provision_workspace": {"kind": "local", "name": "more"},
    "list_processes": {},
    "list_containers": {},
    "recreate_devcontainer": {"name": "app"},
    "stop_workspace": {"name": "*"},
    "remove_workspace": {"name": "*", "keep_data": False},
}
BY_PROCESS: dict[str, dict[str, Any]] = {
    "read_output": {},
    "write_input": {"text": "x"},
    "signal_process": {"signal": "KILL"},
}
BY_WORKSPACE: dict[str, tuple[str, dict[str, Any]]] = {
    "start_process": ("workspace", {"command": "true"}),
    "workspace_files": ("workspace", {"action": "list"}),
    "stop_workspace": ("name", {}),
    "remove_workspace": ("name", {"keep_data": False}),
}


def calls_about(home: Home) -> list[tuple[str, dict[str, Any]]]:
    """Every tool, about what is in a chat; without `chat`."""
    return [
        *BY_CHAT.items(),
        *((tool, {"process_id": home.process, **more}) for tool, more in BY_PROCESS.items()),
        *((tool, {name: home.workspace, **more}) for tool, (name, more) in BY_WORKSPACE.items()),
    ]


def asked(town: Town) -> list[tuple[str, Home]]:
    """Each home in an era, those in turn; with `make soak` each in both."""
    if IS_LONG:
        return [(mode, home) for mode in MODES for home in town.homes]
    return [(MODES[number % len(MODES)], home) for number, home in enumerate(town.homes)]


def plain(text: str, home: Home) -> str:
    """An answer without the name that was asked for."""
    return text.replace(home.process, "P").replace(home.workspace, "W")


async def test_every_tool_is_in_the_matrix(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        tools = {tool.name for tool in (await town.clients[MODES[0]].list_tools()).tools}
    assert tools == {tool for tool, _ in calls_about(NOBODY)}


async def test_a_foreign_handle_is_an_unknown_one_to_every_tool(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        for mode, home in asked(town):
            for tool, arguments in calls_about(home):
                unknown = await town.said(mode, home.owner, tool, **arguments, chat=NOBODY.chat)
                for other in town.others_of(home):
                    if other.owner != home.owner:
                        said = await town.said(mode, home.owner, tool, **arguments, chat=other.chat)
                        assert said == unknown
        assert await town.is_whole()


async def test_what_is_in_another_chat_is_not_in_the_own_one(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        for mode, home in asked(town):
            unknown = {
                tool: plain(await town.said(mode, home.owner, tool, **arguments, chat=home.chat), NOBODY)
                for tool, arguments in calls_about(NOBODY)
                if tool not in BY_CHAT or arguments.get("name") == NOBODY.workspace
            }
            for other in town.others_of(home):
                for tool, arguments in calls_about(other):
                    if tool in unknown and arguments.get("name") != "*":
                        said = await town.said(mode, home.owner, tool, **arguments, chat=home.chat)
                        assert plain(said, other) == unknown[tool]
        assert await town.is_whole()


async def test_every_call_about_the_own_chat_succeeds(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        for number, home in enumerate(town.homes):
            mode = MODES[number % 2]
            for tool, arguments in calls_about(home):
                if tool == "recreate_devcontainer":  # there are no roots for any: that much it says, and not "no chat"
                    assert "no chat" not in await town.said(mode, home.owner, tool, **arguments, chat=home.chat)
                elif not tool.startswith(("stop", "remove", "signal")):
                    await town.ok(mode, home.owner, tool, **arguments, chat=home.chat)
            signalled = await town.ok(mode, home.owner, "signal_process", process_id=home.process, chat=home.chat)
            assert (signalled["signal"], signalled["left"]) == ("TERM", 0)
            await town.ok(mode, home.owner, "stop_workspace", name=home.workspace, chat=home.chat)
            await town.ok(mode, home.owner, "remove_workspace", name="*", keep_data=False, chat=home.chat)
            left = {each.chat for each in town.homes[number + 1 :] if each.owner == home.owner}
            known = await town.read(mode, home.owner, "ws://chats")
            assert f'"total":{len(left)}' in known


async def test_resources_show_their_own_chat_only(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        for mode, home in asked(town):
            for uri in addresses_of(home):
                assert not (await town.read(mode, home.owner, uri)).startswith("refused")
                unknown = {await town.read(mode, home.owner, each) for each in unknown_of(uri, home)}
                foreign = {
                    await town.read(mode, other.owner, uri)
                    for other in town.others_of(home)
                    if other.owner != home.owner
                }
                assert {plain_refusal(text) for text in foreign} == {plain_refusal(text) for text in unknown}
            for other in town.others_of(home):
                for part in (other.workspace, f"{other.process}", f"{other.process}/output"):
                    kind = "containers" if part == other.workspace else "processes"
                    crossed = f"ws://chats/{home.chat}/{kind}/{part}"
                    assert (await town.read(mode, home.owner, crossed)).startswith("refused")
            listed = await town.read(mode, home.owner, "ws://chats")
            ids = set(re.findall(r'"id":"([0-9a-f]+)"', listed))
            assert ids == {each.id for each in town.homes if each.owner == home.owner}
        assert await town.is_whole()


async def test_subscriptions_are_to_the_own_chat_only(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        for home in town.homes:
            for uri in addresses_of(home):
                for mode in MODES:
                    assert await watched(town, mode, home.owner, uri) == ""
                    (unknown,) = {await watched(town, mode, home.owner, each) for each in unknown_of(uri, home)}
                    others = {each.owner for each in town.others_of(home)} - {home.owner}
                    assert {await watched(town, mode, who, uri) for who in others} == {unknown}


async def test_completions_are_of_the_own_chat_only(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        for mode in MODES:
            for home in town.homes:
                assert await completed(town, mode, home.owner, home.chat) == [home.process]
                for typed in ("", home.process):
                    for chat in (NOBODY.chat, *(each.chat for each in town.homes if each.owner != home.owner)):
                        assert await completed(town, mode, home.owner, chat, typed) == []
                crossed = [each.process for each in town.others_of(home)]
                assert [await completed(town, mode, home.owner, home.chat, each) for each in crossed] == [[]] * 8
            for who in {each.owner for each in town.homes}:  # nothing says which chat is meant: no handle is told
                town.who = who
                asked = {"name": "chat", "value": ""}
                assert (await town.clients[mode].complete(PROCESS, asked)).completion.values == []
        assert await town.is_whole()


PROCESS = ResourceTemplateReference(uri=OUTPUT)


async def completed(town: Town, mode: str, who: str, chat: str, typed: str = "") -> list[str]:
    """The processes that are offered to somebody who typed so much."""
    town.who = who
    asked = {"name": "process", "value": typed}
    return (await town.clients[mode].complete(PROCESS, asked, {"chat": chat})).completion.values


def addresses_of(home: Home) -> tuple[str, ...]:
    """Every address of a chat."""
    chat = f"ws://chats/{home.chat}"
    return (
        f"{chat}/containers",
        f"{chat}/containers/{home.workspace}",
        f"{chat}/processes",
        f"{chat}/processes/{home.process}",
        f"{chat}/processes/{home.process}/output",
    )


def unknown_of(uri: str, home: Home) -> tuple[str, ...]:
    """The same addresses in chats that nobody has."""
    return tuple(uri.replace(home.chat, chat) for chat in (NOBODY.chat, "c_x", home.chat[:-1], home.chat + "A"))


def plain_refusal(text: str) -> str:
    """A refusal without the address that was asked for."""
    return re.sub(r"ws://\S+", "URI", text)


async def watched(town: Town, mode: str, who: str, uri: str) -> str:
    """What the refusal of a subscription says; nothing if it was let through."""
    town.who = who
    client: Client = town.clients[mode]
    try:
        if mode == MODES[0]:
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]  # the older era has nothing else
        else:
            async with client.listen(resource_subscriptions=[uri]):
                pass
    except MCPError as error:
        return f"{error.error.code}: {error.error.message}"
    return ""
