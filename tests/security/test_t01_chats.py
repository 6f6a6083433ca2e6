"""T01: a chat is opened by its handle and its principal together, and by nothing that looks like one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import Implementation
from support.edge_client import MODES, ok, open_client, refused, resource
from support.fake_core import FakeCore

from ws_mcp.core.chats import ChatNotFoundError, Chats
from ws_mcp.core.clock import utc_now
from ws_mcp.core.ids import Principal, PrincipalId, Scope
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.state import open_state
from ws_mcp.server import build_server

A, B = PrincipalId("alice"), PrincipalId("bob")
GUESSES = 100_000


def no_manager(_scope: Scope) -> ProcessManager:
    raise AssertionError("nothing is started here")


async def nobody() -> set[str]:
    return set()


@asynccontextmanager
async def open_chats(path: Path) -> AsyncGenerator[Chats]:
    async with open_state(path / "state") as state:
        yield Chats(state, utc_now, no_manager, nobody)


@pytest.mark.usefixtures("real_io")
async def test_a_handle_that_was_tampered_with_opens_nothing(tmp_path: Path) -> None:
    async with open_chats(tmp_path) as chats:
        made = await chats.new(A, "x")
        for at in range(len(made.handle)):
            for other in ("A", "B", "", "\0", "%00", "AA"):
                changed = made.handle[:at] + other + made.handle[at + 1 :]
                if changed != made.handle:
                    with pytest.raises(ChatNotFoundError):
                        await chats.find(A, changed)
        for same in (made.handle.upper(), made.handle + "=", f" {made.handle}", made.id, made.handle.swapcase(), ""):
            with pytest.raises(ChatNotFoundError):
                await chats.find(A, same)
        assert (await chats.find(A, made.handle)).id == made.id


@pytest.mark.usefixtures("real_io")
async def test_a_hundred_thousand_guesses_hit_nothing_and_make_nothing(tmp_path: Path) -> None:
    async with open_chats(tmp_path) as chats:
        known = {(await chats.new(A, str(number))).handle for number in range(50)}
        guesses = {f"c_{secrets.token_urlsafe(16)}" for _ in range(GUESSES)}
        assert len(guesses) == GUESSES
        assert not known & guesses  # a handle has 128 bits, so what is guessed is another one
        for guess in list(guesses)[:2000]:
            with pytest.raises(ChatNotFoundError):
                await chats.find(A, guess)
        assert len(await chats.list(A)) == 50


@pytest.mark.usefixtures("real_io")
async def test_no_handle_is_written_down(tmp_path: Path) -> None:
    async with open_chats(tmp_path) as chats:
        handles = [(await chats.new(A, "x")).handle, (await chats.default(A, "project:/x")).handle]
        kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
        assert b"project:/x" in kept
        assert not any(handle.encode() in kept or handle[2:].encode() in kept for handle in handles)


@pytest.mark.usefixtures("real_io")
async def test_the_same_hint_of_another_principal_selects_another_chat(tmp_path: Path) -> None:
    async with open_chats(tmp_path) as chats:
        mine, theirs = await chats.default(A, "openai:x"), await chats.default(B, "openai:x")
        assert mine.id != theirs.id
        with pytest.raises(ChatNotFoundError):
            await chats.find(B, mine.handle)
        # Neither does a hint that has the other's name in it.
        assert (await chats.default(B, "x\0openai:x")).id not in (mine.id, theirs.id)


@pytest.mark.parametrize("mode", MODES)
async def test_the_handle_of_another_user_is_unknown_to_every_call(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode, principal=A) as client:
        handle = (await ok(client, "provision_workspace", chat="new"))["chat"]
    async with open_client(core, mode, principal=B) as client:
        for tool in ("list_processes", "list_containers", "provision_workspace", "stop_workspace", "remove_workspace"):
            arguments = {"name": "*"} if tool.startswith(("stop", "remove")) else {}
            texts = {await refused(client, tool, chat=chat, **arguments) for chat in (handle, "c_" + "A" * 22)}
            assert len(texts) == 1
    async with open_client(core, mode, principal=A) as client:
        assert (await ok(client, "list_containers", chat=handle))["workspaces"]


@pytest.mark.parametrize("mode", MODES)
async def test_the_list_of_chats_has_the_callers_own_and_no_handle(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode, principal=A) as client:
        handle = (await ok(client, "provision_workspace", chat="new", name="mine"))["chat"]
        own = await resource(client, "ws://chats")
        assert '"label":"mine"' in own
        assert handle not in own
    async with open_client(core, mode, principal=B) as client:
        await ok(client, "list_processes")
        theirs = await resource(client, "ws://chats")
        assert '"total":1' in theirs
        assert "mine" not in theirs


@asynccontextmanager
async def open_bound(core: FakeCore, mode: str, chat: str) -> AsyncGenerator[Client]:
    """A client whose token is for one chat only."""
    server = build_server(core, default_hint=None, principal_of=lambda: Principal(id=A, chat=chat))
    async with Client(server, mode=mode, client_info=Implementation(name="x", version="1")) as client:
        yield client


@pytest.mark.parametrize("mode", MODES)
async def test_a_token_for_one_chat_opens_no_other_one_of_its_principal(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode, principal=A) as client:
        other = (await ok(client, "provision_workspace", chat="new"))["chat"]
    async with open_bound(core, mode, "ci") as client:
        made = await ok(client, "provision_workspace")
        assert made["chat"] == (await ok(client, "list_containers"))["chat"] != other
        assert (await ok(client, "list_containers", chat=made["chat"]))["chat"] == made["chat"]
        hinted = await client.call_tool("list_containers", {}, meta={"openai/session": "else"})
        assert (hinted.structured_content or {})["chat"] == made["chat"]
        assert len({await refused(client, "list_containers", chat=chat) for chat in (other, "c_unknown")}) == 1
        assert "for one chat" in await refused(client, "provision_workspace", chat="new")
        assert '"total":1' in await resource(client, "ws://chats")
