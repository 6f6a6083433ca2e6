"""T01: a chat is opened by its handle and its principal together, and by nothing that looks like one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from mcp import Client
from mcp.types import Implementation
from support.edge_client import MODES, ok, open_client, refused, resource
from support.fake_core import FakeCore

from ws_mcp.core.chats import ChatNotFoundError, Chats
from ws_mcp.core.choices import Choices
from ws_mcp.core.clock import utc_now
from ws_mcp.core.ids import Principal, PrincipalId, Scope
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.runtime import open_core
from ws_mcp.core.state import State, open_state
from ws_mcp.core.stores.port import Sql
from ws_mcp.core.stores.sqlite import SqliteSql, SqliteStore, open_whole
from ws_mcp.server import build_server

T = TypeVar("T")

A, B = PrincipalId("alice"), PrincipalId("bob")
GUESSES = 100_000
WIRE_GUESSES = 1000  # of each era


class AtOnce(SqliteStore):
    """A store that is asked in the thread of the test: for many small questions."""

    async def run(self, work: Callable[[Sql], T]) -> T:
        with self.database as database:
            return work(SqliteSql(database))


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
    async with open_chats(tmp_path):
        pass
    store = AtOnce(tmp_path / "state", open_whole(tmp_path / "state"))
    state = State(tmp_path / "state", store)
    chats = Chats(state, utc_now, no_manager, nobody)
    known = {(await chats.new(A, str(number))).handle for number in range(50)}
    hits = 0
    for _ in range(GUESSES):
        try:
            await chats.find(A, f"c_{secrets.token_urlsafe(16)}")
            hits += 1
        except ChatNotFoundError:
            continue
    assert hits == 0
    assert {(await chats.find(A, handle)).handle for handle in known} == known
    assert len(await chats.list(A)) == 50
    await store.aclose()


@pytest.mark.usefixtures("real_io")
@pytest.mark.parametrize("mode", MODES)
async def test_guesses_of_a_client_are_one_answer_and_make_nothing(tmp_path: Path, mode: str) -> None:
    async with open_core(Choices(state=tmp_path / "state"), None) as core:
        theirs = [await core.new_chat(B, str(number)) for number in range(50)]
        server = build_server(core, default_hint=None, principal_of=lambda: Principal(id=A))
        async with Client(server, mode=mode) as client:
            guesses = [f"c_{secrets.token_urlsafe(16)}" for _ in range(WIRE_GUESSES)]
            said = {await refused(client, "list_processes", chat=chat) for chat in guesses}
            assert len(said) == 1
            assert {await refused(client, "list_processes", chat=each.handle) for each in theirs} == said
        assert await core.chats(A) == ()


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
