"""The prompts: what a person picks from a menu becomes words that name our tools."""

from __future__ import annotations

import re

import pytest
from mcp import Client, MCPError
from mcp.types import TextContent
from support.edge_client import MODES, open_client
from support.fake_core import FakeCore

NAMES = {"start_dev_server", "rebuild_devcontainer", "clean_up_chat"}
GIVEN = {"start_dev_server": {"command": "npm run dev", "port": "5173"}, "rebuild_devcontainer": {"folder": "~/app"}}


async def words(client: Client, name: str, arguments: dict[str, str]) -> str:
    (message,) = (await client.get_prompt(name, arguments)).messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


@pytest.mark.parametrize("mode", MODES)
async def test_each_says_what_it_is_for_and_what_it_wants(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        prompts = (await client.list_prompts()).prompts
    assert {prompt.name for prompt in prompts} == NAMES
    for prompt in prompts:
        assert prompt.title
        assert prompt.description
        assert all(argument.description for argument in prompt.arguments or ()), prompt.name
    (server,) = (prompt for prompt in prompts if prompt.name == "start_dev_server")
    assert [(each.name, each.required) for each in server.arguments or ()] == [
        ("command", True),
        ("port", False),
        ("workspace", False),
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_they_name_tools_that_there_are_and_say_what_was_given(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        named: set[str] = set()
        for name in NAMES:
            given = GIVEN.get(name, {})
            text = await words(client, name, given)
            assert all(value in text for value in given.values())
            named |= set(re.findall(r"\b[a-z]+_[a-z]+\b", text)) - {"wait_s", "wait_for"}
    assert named - tools == set()
    assert len(named) >= 6
    assert core.specs == []  # nothing was done yet


@pytest.mark.parametrize("mode", MODES)
async def test_one_that_lacks_something_is_refused_and_nobody_else_notices(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        with pytest.raises(MCPError):
            await client.get_prompt("start_dev_server", {})
        with pytest.raises(MCPError):
            await client.get_prompt("no_such", {})
        assert "list_processes" in await words(client, "clean_up_chat", {})
