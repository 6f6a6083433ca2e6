"""The event stream against engines that behave, and against those that do not; on both event loops."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from support.http_server import Answer, Request, open_server, reply, target

from ws_mcp.core.engine.model import EngineEvent
from ws_mcp.core.engine.stream import open_events
from ws_mcp.core.errors import EngineError

pytestmark = pytest.mark.usefixtures("real_io_both")


def events_answer(*chunks: bytes) -> Answer:
    async def answer(request: Request, stream: ByteStream) -> None:
        if request.target.endswith("/_ping"):
            await reply(stream, 200, "OK", more="Date: Fri, 20 Nov 2026 14:00:00 GMT\r\n")
            return
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            await stream.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        await stream.aclose()

    return answer


def event_line(action: str, kind: str = "container") -> bytes:
    return b'{"Type":"%s","Action":"%s","Actor":{"ID":"x","Attributes":{"a":"b"}}}\n' % (kind.encode(), action.encode())


async def events_of(path: Path) -> list[EngineEvent]:
    with anyio.fail_after(30):
        async with open_events(target(path)) as events:
            return [event async for event in events]


async def test_events_are_asked_for_from_the_engines_own_moment_on(tmp_path: Path) -> None:
    lines = event_line("create") + event_line("exec_create: /bin/sh") + event_line("die")
    async with open_server(tmp_path / "s", events_answer(lines[:20], lines[20:90], lines[90:])) as server:
        events = await events_of(tmp_path / "s")
        assert "since=1795183200" in server.requests[-1].target
    assert [(event.action, event.id, event.labels) for event in events] == [
        ("create", "x", {"a": "b"}),
        ("die", "x", {"a": "b"}),
    ]


async def test_events_end_where_they_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_server(tmp_path / "s", events_answer(event_line("create") + b"{oops}\n" + event_line("die"))):
        assert [event.action for event in await events_of(tmp_path / "s")] == ["create"]
    assert "cannot be read" in caplog.text


async def test_an_event_without_end_ends_the_events(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chunks = [event_line("create"), *[b"x" * 65536] * 17]
    async with open_server(tmp_path / "s", events_answer(*chunks)):
        assert [event.action for event in await events_of(tmp_path / "s")] == ["create"]
    assert "too long" in caplog.text


async def test_events_end_with_the_last_chunk(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s", events_answer(event_line("create") + b"\n", b"")):
        assert [event.action for event in await events_of(tmp_path / "s")] == ["create"]


async def test_events_that_are_refused_are_an_error(tmp_path: Path) -> None:
    async def refuse(_request: Request, stream: ByteStream) -> None:
        await reply(stream, 400, {"message": "invalid filter"})

    async with open_server(tmp_path / "s", refuse):
        with pytest.raises(EngineError, match="could not watch the engine: invalid filter"):
            await events_of(tmp_path / "s")


async def test_a_watcher_that_leaves_early_closes_the_connection(tmp_path: Path) -> None:
    async def endless(request: Request, stream: ByteStream) -> None:
        if request.target.endswith("/_ping"):
            await reply(stream, 200, "OK")
            return
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        line = event_line("start")
        while True:
            await stream.send(b"%x\r\n%s\r\n" % (len(line), line))
            await anyio.sleep(0.001)

    async with open_server(tmp_path / "s", endless) as server:
        async with open_events(target(tmp_path / "s")) as events:
            async for event in events:
                assert event.action == "start"
                break
        await server.until_idle()
