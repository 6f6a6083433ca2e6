"""Exec and event streams against engines that behave, and against those that do not; on both event loops."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from support.http_server import Answer, Request, open_server, reply, target

from ws_mcp.core.engine.model import ExecSpec
from ws_mcp.core.engine.stream import MAX_STDERR_BYTES, open_events, open_exec
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from ws_mcp.core.ids import ContainerId

pytestmark = pytest.mark.usefixtures("real_io_both")

CONTAINER = ContainerId("c" * 64)
EXEC = "e" * 64
SPEC = ExecSpec(argv=("cat", "-v"), user="1000", environment={"A": "b"})
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def exec_answer(*sent: bytes, then: Answer | None = None) -> Answer:
    """Create an exec, upgrade, send these chunks, and go."""

    async def answer(request: Request, stream: ByteStream) -> None:
        if request.target == f"/v1.41/containers/{CONTAINER}/exec":
            await reply(stream, 201, {"Id": EXEC})
            return
        assert request.target == f"/v1.41/exec/{EXEC}/start"
        for chunk in sent:
            await stream.send(chunk)
        if then is not None:
            await then(request, stream)
        await stream.aclose()

    return answer


async def received(stream: ByteStream) -> bytes:
    with anyio.fail_after(30):
        return b"".join([chunk async for chunk in stream])


async def test_a_command_is_asked_for_as_the_spec_says(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s", exec_answer(UPGRADED)) as server:
        async with open_exec(target(tmp_path / "s"), CONTAINER, SPEC) as stream:
            assert await received(stream) == b""
        create, start = server.requests
    assert b'"Cmd": ["cat", "-v"]' in create.body
    assert b'"User": "1000"' in create.body
    assert b'"Env": ["A=b"]' in create.body
    assert (start.fields["upgrade"], start.fields["connection"]) == ("tcp", "Upgrade")


async def test_what_comes_with_the_head_is_not_lost(tmp_path: Path) -> None:
    sent = (UPGRADED + frame(1, b"he")[:9], frame(1, b"he")[9:] + frame(2, b"log") + frame(1, b"llo"))
    async with (
        open_server(tmp_path / "s", exec_answer(*sent)),
        open_exec(target(tmp_path / "s"), CONTAINER, SPEC) as stream,
    ):
        assert await received(stream) == b"hello"


async def test_stderr_is_logged_and_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sent = [UPGRADED, *[frame(2, b"x" * 200)] * 100, frame(1, b"out")]
    async with (
        open_server(tmp_path / "s", exec_answer(*sent)),
        open_exec(target(tmp_path / "s"), CONTAINER, SPEC) as stream,
    ):
        assert await received(stream) == b"out"
    logged = sum(record.getMessage().count("x" * 10) * 10 for record in caplog.records)
    assert 0 < logged <= MAX_STDERR_BYTES


async def test_a_stream_that_is_not_multiplexed_breaks(tmp_path: Path) -> None:
    async with (
        open_server(tmp_path / "s", exec_answer(UPGRADED + b"OCI runtime error")),
        open_exec(target(tmp_path / "s"), CONTAINER, SPEC) as stream,
    ):
        with pytest.raises(anyio.BrokenResourceError):
            await received(stream)


async def test_closing_the_stream_closes_the_connection(tmp_path: Path) -> None:
    closed = anyio.Event()

    async def wait_for_end(_request: Request, stream: ByteStream) -> None:
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        closed.set()

    async with open_server(tmp_path / "s", exec_answer(UPGRADED, then=wait_for_end)):
        async with open_exec(target(tmp_path / "s"), CONTAINER, SPEC):
            pass
        with anyio.fail_after(30):
            await closed.wait()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"message": "No such container: x"}, EngineNotFoundError),
        (409, {"message": "Container x is not running"}, EngineConflictError),
        (500, {"cause": "y", "message": "container state improper"}, EngineConflictError),
        (500, {"message": ""}, EngineError),
        (500, ["odd"], EngineError),
    ],
)
async def test_a_refusal_is_translated(tmp_path: Path, status: int, body: object, error: type[EngineError]) -> None:
    async def refuse(_request: Request, stream: ByteStream) -> None:
        await reply(stream, status, body)

    async with open_server(tmp_path / "s", refuse) as server:
        with pytest.raises(error) as raised:
            async with open_exec(target(tmp_path / "s"), CONTAINER, SPEC):
                pytest.fail("it was opened")
        assert type(raised.value) is error
        await server.until_idle()


async def test_a_refusal_of_the_start_is_translated(tmp_path: Path) -> None:
    async def refuse(request: Request, stream: ByteStream) -> None:
        if request.target.endswith("/start"):
            await reply(stream, 409, {"message": "Container x is paused"})
        else:
            await reply(stream, 201, {"Id": EXEC})

    async with open_server(tmp_path / "s", refuse):
        with pytest.raises(EngineConflictError, match="paused"):
            async with open_exec(target(tmp_path / "s"), CONTAINER, SPEC):
                pytest.fail("it was opened")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 201 X\r\nContent-Length: 5\r\n\r\n{",
        b"x" * 70000,
        b'HTTP/1.1 201 X\r\nContent-Length: 12\r\n\r\n{"Id":"../"}',
        b"HTTP/1.1 201 X\r\nContent-Length: 3\r\n\r\n[1]",
    ],
)
async def test_an_answer_that_is_none_is_an_unavailable_engine(tmp_path: Path, raw: bytes) -> None:
    async def babble(_request: Request, stream: ByteStream) -> None:
        await stream.send(raw)
        await stream.aclose()

    async with open_server(tmp_path / "s", babble):
        with pytest.raises(EngineUnavailableError):
            async with open_exec(target(tmp_path / "s"), CONTAINER, SPEC):
                pytest.fail("it was opened")


async def test_an_engine_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def hang(_request: Request, _stream: ByteStream) -> None:
        await anyio.sleep_forever()

    async with open_server(tmp_path / "s", hang):
        for opened in (
            open_exec(target(tmp_path / "s", 0.05), CONTAINER, SPEC),
            open_events(target(tmp_path / "s", 0.05)),
        ):
            with anyio.fail_after(30), pytest.raises(EngineTimeoutError):
                async with opened:
                    pytest.fail("it was opened")


async def test_an_answer_in_chunks_is_an_answer(tmp_path: Path) -> None:
    async def answer(request: Request, stream: ByteStream) -> None:
        if request.target.endswith("/start"):
            await stream.send(UPGRADED + frame(1, b"hi"))
            await stream.aclose()
            return
        content = b'{"Id":"%s"}' % EXEC.encode()
        await stream.send(b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        await stream.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))

    async with open_server(tmp_path / "s", answer), open_exec(target(tmp_path / "s"), CONTAINER, SPEC) as stream:
        assert await received(stream) == b"hi"


async def test_an_answer_without_end_is_cut(tmp_path: Path) -> None:
    async def pour(_request: Request, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 404 X\r\nContent-Length: 99999999\r\n\r\n")
        while True:
            await stream.send(b"x" * 65536)

    async with open_server(tmp_path / "s", pour):
        with pytest.raises(EngineUnavailableError, match="too long"):
            async with open_exec(target(tmp_path / "s"), CONTAINER, SPEC):
                pytest.fail("it was opened")


async def test_without_an_engine_the_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=r"no socket at unix:///.*/none \(from the test\)"):
        async with open_exec(target(tmp_path / "none"), CONTAINER, SPEC):
            pytest.fail("it was opened")
