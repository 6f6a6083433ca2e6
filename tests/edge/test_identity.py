"""Which chat a call is in: explicit, then what the host says, then the server's own default; never a grant."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp.types import TextContent
from support.edge_client import ALICE, MODES, PROJECT, call, ok, open_client, refused, resource, text_of
from support.fake_core import FakeCore

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.edge.default_chats import FRESH_S, KEPT
from ws_mcp.edge.identity import Hint, local_principal, stdio_hint

HINTS = [
    ("Visual Studio Code", "vscode.conversationId", "vscode:vscode.conversationId:abc"),
    ("openai-mcp", "openai/session", "openai:openai/session:abc"),
    ("opencode", "ai.opencode/sessionID", "opencode:ai.opencode/sessionID:abc"),
    ("antigravity", "antigravity.google/conversation_id", "antigravity:antigravity.google/conversation_id:abc"),
    ("codex-mcp-client", "threadId", "codex:threadId:abc"),
    ("codex-mcp-client", "sessionId", "codex:sessionId:abc"),
]


async def chat_of(client: Any, meta: dict[str, Any] | None = None, **arguments: Any) -> str:
    result = await client.call_tool("list_containers", arguments, meta=meta)
    assert not result.is_error, text_of(result)
    return result.structured_content["chat"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "key", "hint"), HINTS)
async def test_a_host_that_names_the_conversation_gets_its_own_chat(mode: str, name: str, key: str, hint: str) -> None:
    core = FakeCore()
    async with open_client(core, mode, name=name) as client:
        own = await chat_of(client, {key: "abc"})
        assert core.asked_chats == [(ALICE, hint)]
        assert own == await chat_of(client, {key: "abc"})
        assert own != await chat_of(client, {key: "def"})
        assert own != await chat_of(client)
        assert core.asked_chats[-1] == (ALICE, PROJECT.text)


async def test_general_keys_are_believed_only_from_the_host_that_means_them() -> None:
    core = FakeCore()
    async with open_client(core, name="some-client") as client:
        await chat_of(client, {"threadId": "abc", "sessionId": "def"})
        assert core.asked_chats == [(ALICE, PROJECT.text)]
    async with open_client(core, name="Codex CLI") as client:
        await chat_of(client, {"threadId": "abc", "sessionId": "def"})
        assert core.asked_chats[-1] == (ALICE, "codex:threadId:abc")


@pytest.mark.parametrize("mode", MODES)
async def test_the_explicit_chat_wins_over_every_hint(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        made = await ok(client, "provision_workspace", chat="new")
        assert "note" not in made
        assert await chat_of(client, {"openai/session": "abc"}, chat=made["chat"]) == made["chat"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_new_chat_sees_nothing_of_another(mode: str) -> None:
    async with open_client(FakeCore(script=lambda process: process.write(b"x")), mode) as client:
        await ok(client, "provision_workspace")
        await ok(client, "start_process", command="x", wait_s=0)
        other = (await ok(client, "provision_workspace", chat="new"))["chat"]
        assert (await ok(client, "list_processes", chat=other))["total"] == 0
        assert "no process 'p_00000001'" in await refused(client, "read_output", process_id="p_00000001", chat=other)


@pytest.mark.parametrize("mode", MODES)
async def test_a_foreign_chat_and_an_unknown_one_are_the_same_answer(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        foreign = (await ok(client, "provision_workspace"))["chat"]
    async with open_client(core, mode, principal=PrincipalId("local:2000")) as client:
        for tool in ("list_processes", "list_containers", "provision_workspace"):
            texts = {await refused(client, tool, chat=chat) for chat in (foreign, "c_unknown", "../..", "\u202e")}
            assert len(texts) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_without_any_hint_a_call_is_told_what_to_do_and_provisioning_makes_a_chat(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode, hint=None) as client:
        assert "call provision_workspace first" in await refused(client, "list_processes")
        made = await ok(client, "provision_workspace")
        other = await ok(client, "provision_workspace")
        assert made["chat"] != other["chat"]
        assert core.asked_chats == []
        assert await chat_of(client, chat=made["chat"]) == made["chat"]


@pytest.mark.parametrize("value", [5, "", "x" * 257, "a\nb", ["abc"]])
async def test_an_unreadable_hint_is_an_error_and_no_other_chat(value: object) -> None:
    core = FakeCore()
    async with open_client(core) as client:
        result = await client.call_tool("list_containers", {}, meta={"openai/session": value})
        assert result.is_error
        assert "cannot be read; give `chat`" in text_of(result)
        assert core.asked_chats == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_resource_follows_the_same_hints(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        await ok(client, "provision_workspace")
        assert '"name":"main"' in await resource(client, "ws://containers")


async def test_a_default_chat_is_asked_for_once() -> None:
    core = FakeCore()
    async with open_client(core) as client:
        for _ in range(3):
            await ok(client, "list_processes")
        assert len(core.asked_chats) == 1


async def test_a_default_chat_is_asked_for_again_each_hour_and_until_it_could_be_noted(virtual_time: None) -> None:
    core = FakeCore()
    async with open_client(core) as client:
        core.cannot_note = True
        for _ in range(2):
            await ok(client, "list_processes")
        assert len(core.asked_chats) == 2
        core.cannot_note = False
        for _ in range(2):
            await ok(client, "list_processes")
        assert len(core.asked_chats) == 3
        await anyio.sleep(FRESH_S)
        await ok(client, "list_processes")
        assert len(core.asked_chats) == 4


async def test_many_conversations_are_not_all_remembered() -> None:
    core = FakeCore()
    async with open_client(core, MODES[1]) as client:
        for number in range(KEPT + 1):
            await chat_of(client, {"openai/session": str(number)})
        await chat_of(client, {"openai/session": "1"})
        assert len(core.asked_chats) == KEPT + 1
        await chat_of(client, {"openai/session": "0"})
        assert len(core.asked_chats) == KEPT + 2


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        ({}, Hint(text="project:/src/app", is_shared=True)),
        ({"CLAUDE_PROJECT_DIR": "/src/other/"}, Hint(text="project:/src/other", is_shared=True)),
        ({"CLAUDE_PROJECT_DIR": ""}, Hint(text="project:/src/app", is_shared=True)),
        (
            {"CLAUDE_PROJECT_DIR": "/src/other", "CLAUDE_CODE_SESSION_ID": "s1"},
            Hint(text="env:CLAUDE_CODE_SESSION_ID:s1", is_shared=False),
        ),
        ({"GROK_SESSION_ID": "g1"}, Hint(text="env:GROK_SESSION_ID:g1", is_shared=False)),
    ],
)
def test_a_stdio_server_takes_its_hint_from_its_surroundings(environment: dict[str, str], hint: Hint) -> None:
    assert stdio_hint(environment, "/src/app") == hint


def test_a_conversation_variable_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match="GROK_SESSION_ID"):
        stdio_hint({"GROK_SESSION_ID": "a\nb"}, "/src/app")


def test_the_principal_is_the_user_of_the_system() -> None:
    assert local_principal().id.startswith("local:")


async def test_the_answer_in_text_names_the_chat_too() -> None:
    async with open_client(FakeCore()) as client:
        result = await call(client, "provision_workspace")
        (block,) = result.content
        assert isinstance(block, TextContent)
        assert result.structured_content is not None
        assert result.structured_content["chat"] in block.text
