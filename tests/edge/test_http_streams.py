"""Streams over HTTP: so many and no more, and none for a token that is not good any more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp import types as mcp_types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPDeprecationWarning
from support.edge_client import MODES, ok
from support.http_ground import (
    HELLO,
    HttpGround,
    modern,
    modern_headers,
    open_http_ground,
    record_for,
    token_for,
    write_tokens,
)

from ws_mcp.core.ids import Principal, PrincipalId
from ws_mcp.core.policy.limits import Limits
from ws_mcp.edge.attention import LOOK_EVERY_S as ATTENTION_S
from ws_mcp.edge.bearer import ProvenToken
from ws_mcp.edge.http_streams import LOOK_EVERY_S, Streams

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def bearer(principal: str) -> dict[str, str]:
    return {**ACCEPT, "Authorization": f"Bearer {token_for(principal)}"}


@asynccontextmanager
async def stream(ground: HttpGround, client: httpx2.AsyncClient, principal: str, era: str) -> AsyncGenerator[int]:
    """Open one; what is yielded is the status of the answer."""
    if era == "legacy":
        hello = await client.post(ground.url, json=HELLO, headers=bearer(principal))
        session = {"Mcp-Session-Id": hello.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        asked = client.stream("GET", ground.url, headers={**bearer(principal), **session})
    else:
        message = modern("subscriptions/listen", notifications={"toolsListChanged": True})
        headers = {**bearer(principal), **modern_headers("subscriptions/listen")}
        asked = client.stream("POST", ground.url, json=message, headers=headers)
    async with asked as answer:
        yield answer.status_code


@pytest.mark.parametrize("era", MODES)
async def test_a_principal_has_so_many_streams_and_another_has_its_own(era: str, tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(60):
        async with (
            open_http_ground(tmp_path, record_for("alice"), record_for("bob")) as ground,
            httpx2.AsyncClient(timeout=30) as client,
        ):
            async with AsyncExitStack() as stack:
                for _ in range(Limits().streams):
                    assert await stack.enter_async_context(stream(ground, client, "alice", era)) == 200
                async with stream(ground, client, "alice", era) as status:
                    assert status == 429
                async with stream(ground, client, "bob", era) as status:
                    assert status == 200
            while True:  # the server hears of the ends a little later
                async with stream(ground, client, "alice", era) as status:
                    if status == 200:
                        break


async def test_streams_of_both_eras_are_one_limit_and_it_is_the_operators_of_the_moment(
    tmp_path: Path, real_io: None
) -> None:
    said = [Limits(streams=2)]
    with anyio.fail_after(60):
        async with (
            open_http_ground(tmp_path, record_for("alice"), record_for("bob"), limits=lambda: said[-1]) as ground,
            httpx2.AsyncClient(timeout=30) as client,
            AsyncExitStack() as stack,
        ):
            for era in MODES:
                assert await stack.enter_async_context(stream(ground, client, "alice", era)) == 200
            for era in MODES:
                async with stream(ground, client, "alice", era) as status:
                    assert status == 429
            said.append(Limits(streams=3))
            assert await stack.enter_async_context(stream(ground, client, "alice", MODES[0])) == 200
            said.append(Limits(streams=1))
            for era in MODES:
                async with stream(ground, client, "alice", era) as status:
                    assert status == 429
            async with stream(ground, client, "bob", MODES[1]) as status:
                assert status == 200


class Watching:
    """A client that watches its processes over HTTP, and what it heard."""

    def __init__(self, client: Client, chat: str, heard: list[str]) -> None:
        self.client, self.chat, self.heard = client, chat, heard

    async def told(self, count: int) -> None:
        with anyio.fail_after(30):
            while len(self.heard) < count:  # noqa: ASYNC110 - the client's own tasks fill it
                await anyio.sleep(0.01)


@asynccontextmanager
async def watching(ground: HttpGround, principal: str, mode: str) -> AsyncGenerator[Watching]:
    heard = list[str]()

    async def on_message(message: Any) -> None:
        if isinstance(message, mcp_types.ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    more: dict[str, Any] = {"message_handler": on_message} if mode == "legacy" else {}
    async with ground.client(principal, mode, **more) as client:
        chat = (await ok(client, "provision_workspace"))["chat"]
        uri = f"ws://chats/{chat}/processes"
        if mode == "legacy":
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource(uri)
            yield Watching(client, chat, heard)
            return
        async with client.listen(resource_subscriptions=[uri]) as events, anyio.create_task_group() as tasks:

            async def hear() -> None:
                async for event in events:
                    assert isinstance(event, ResourceUpdated)
                    heard.append(event.uri)

            tasks.start_soon(hear)
            yield Watching(client, chat, heard)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("mode", MODES)
async def test_watchers_are_told_of_their_own_chats_until_their_token_is_revoked(
    mode: str, tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(60):
        async with (
            open_http_ground(tmp_path, record_for("alice"), record_for("bob")) as ground,
            watching(ground, "alice", mode) as alice,
            watching(ground, "bob", mode) as bob,
        ):
            ids = {principal: chat.id for (principal, _), chat in ground.core.chats_by.items()}
            ground.notifier.processes_changed(ids[PrincipalId("alice")])
            ground.notifier.processes_changed(ids[PrincipalId("bob")])
            await alice.told(1)
            await bob.told(1)
            assert {watcher for _, watcher in ground.notifier.watchers()} == {"alice", "bob"}
            write_tokens(ground.tokens, record_for("bob"))
            for _ in range(2):
                ground.notifier.processes_changed(ids[PrincipalId("alice")])
                ground.notifier.processes_changed(ids[PrincipalId("bob")])
            await bob.told(2)
            assert len(alice.heard) == 1
            assert {watcher for _, watcher in ground.notifier.watchers()} == {"bob"}


@pytest.mark.parametrize("mode", MODES)
async def test_watched_places_are_looked_at_as_those_who_watch_them(mode: str, tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(60):
        async with (
            open_http_ground(tmp_path, record_for("alice"), record_for("bob")) as ground,
            watching(ground, "alice", mode) as alice,
            watching(ground, "bob", mode) as bob,
        ):
            with anyio.fail_after(ATTENTION_S * 10):
                while len({scope.principal for scope in ground.core.attended}) < 2:  # noqa: ASYNC110 - it looks by itself
                    await anyio.sleep(0.05)
            mine = {scope.principal: scope.chat for scope in ground.core.attended}
            assert mine == {principal: chat.id for (principal, _), chat in ground.core.chats_by.items()}
            assert alice.chat != bob.chat


class Opened:
    """An application that streams for ever, and what went out."""

    def __init__(self) -> None:
        self.sent = list[dict[str, Any]]()
        self.is_good = True

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep_forever()

    async def receive(self) -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        await anyio.lowlevel.checkpoint()

    def scope(self) -> dict[str, Any]:
        token = ProvenToken(
            token="t",
            client_id="alice",
            scopes=["ws:read"],
            principal=Principal(id=PrincipalId("alice")),
            stands=lambda: self.is_good,
        )
        return {"type": "http", "method": "GET", "path": "/mcp", "headers": [], "user": AuthenticatedUser(token)}


async def test_a_stream_ends_when_its_token_does(virtual_time: None) -> None:
    opened = Opened()
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await Streams(opened, lambda _: nullcontext())(opened.scope(), opened.receive, opened.send)
            tasks.cancel_scope.cancel()

        tasks.start_soon(serve)
        await anyio.sleep(3 * LOOK_EVERY_S)
        assert [message["type"] for message in opened.sent] == ["http.response.start"]
        opened.is_good = False
        with anyio.fail_after(60):
            await anyio.sleep_forever()
    assert opened.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
