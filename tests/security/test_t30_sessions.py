"""T30: sessions of the older era: one principal has so many, and another can always open one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.http_ground import (
    HELLO,
    HttpGround,
    Reply,
    ask,
    modern,
    modern_headers,
    open_http_ground,
    record_for,
    token_for,
)

from ws_mcp.edge import http_sessions
from ws_mcp.edge.http_sessions import MAX_OF_ONE, MAX_SESSIONS

NAMES = ("alice", "bob", "carol")
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


class Asking:
    """Requests of anybody, one after the other."""

    def __init__(self, ground: HttpGround) -> None:
        self.ground = ground

    async def __call__(self, who: str, message: object = HELLO, session: str = "", method: str = "POST") -> Reply:
        headers = {"Mcp_Session_Id": session, "MCP_Protocol_Version": "2025-11-25"} if session else {}
        asked = partial(ask, self.ground.url, message, method=method, token=token_for(who), **headers)
        return await anyio.to_thread.run_sync(asked)

    async def opened(self, who: str) -> str:
        """The id of a session that must be opened."""
        reply = await self(who)
        assert reply.status == 200, reply.body
        return reply.headers["mcp-session-id"]


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_sessions, "MAX_OF_ONE", 3)
    monkeypatch.setattr(http_sessions, "MAX_SESSIONS", 5)


def test_nobody_alone_can_have_them_all() -> None:
    assert MAX_OF_ONE * 4 <= MAX_SESSIONS < http_sessions.MOST


async def test_one_more_than_a_principal_may_have_is_refused_and_others_go_on(tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(60):
        async with open_http_ground(tmp_path, *map(record_for, NAMES)) as ground:
            asking = Asking(ground)
            own = [await asking.opened("alice") for _ in range(3)]
            refused = await asking("alice")
            assert refused.status == 429
            assert refused.body == b"3 of your sessions are open, as many as one may have; end one with DELETE\n"
            assert (await asking("alice", LIST, own[0])).status == 200
            others = [await asking.opened("bob") for _ in range(2)]
            assert b"as many sessions are open as there may be" in (await asking("bob")).body
            await asking.opened("carol")  # who has none always gets one
            assert (await asking("carol")).status == 429
            assert (await asking("bob", LIST, others[0])).status == 200
            assert (await asking("alice", b"", own[0], "DELETE")).status == 200
            assert (await asking("alice", LIST, own[0])).status == 404
            assert (await asking("alice", b"", own[1], "DELETE")).status == 200
            await asking.opened("alice")


async def test_requests_that_open_no_session_take_no_place(tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(60):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            asking = Asking(ground)
            for _ in range(6):
                assert (await asking("alice", LIST)).status == 400
                assert (await asking("alice", b"{")).status == 400
                assert (await asking("alice", method="GET")).status in (400, 406)
            for _ in range(3):
                await asking.opened("alice")
            named = modern_headers("tools/list")
            reply = partial(ask, ground.url, modern("tools/list"), token=token_for("alice"), **named)
            assert (await anyio.to_thread.run_sync(reply)).status == 200  # the newer era has no sessions


async def test_sessions_that_open_at_once_are_counted_each(tmp_path: Path, real_io: None) -> None:
    found = list[int]()
    with anyio.fail_after(60):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            asking = Asking(ground)

            async def one() -> None:
                found.append((await asking("alice")).status)

            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(one)
            assert found.count(200) <= 3
            assert set(found) <= {200, 429}
            while found.count(200) < 3:
                await one()
            assert (await asking("alice")).status == 429
