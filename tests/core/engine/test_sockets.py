"""Byte streams over sockets of this machine, on both event loops."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from ws_mcp.core.engine.sockets import SocketStream, connect_unix

pytestmark = pytest.mark.usefixtures("real_io_both")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


async def test_a_megabyte_goes_through_both_ways(pair: tuple[socket.socket, socket.socket]) -> None:
    sent = bytes(range(256)) * 4096
    one, other = SocketStream(pair[0]), SocketStream(pair[1])

    async def send(stream: SocketStream) -> None:
        await stream.send(sent)
        await stream.send_eof()

    with anyio.fail_after(30):
        async with one, other, anyio.create_task_group() as tasks:
            tasks.start_soon(send, one)
            tasks.start_soon(send, other)
            for stream in (one, other):
                assert b"".join([chunk async for chunk in stream]) == sent


async def test_who_waits_is_told_when_the_stream_is_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    stream = SocketStream(pair[0])
    async with anyio.create_task_group() as tasks:

        async def receive() -> None:
            with anyio.fail_after(30), pytest.raises(anyio.ClosedResourceError):
                await stream.receive()

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await stream.send(b"x")
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()
    with pytest.raises(anyio.ClosedResourceError):
        await stream.send_eof()
    await stream.aclose()


async def test_a_far_side_that_is_gone_breaks_the_stream(pair: tuple[socket.socket, socket.socket]) -> None:
    async with SocketStream(pair[0]) as stream:
        pair[1].close()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"x")


async def test_a_cancelled_receive_loses_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    async with SocketStream(pair[0]) as stream:
        for _ in range(200):
            with anyio.CancelScope() as scope:
                scope.cancel()
                pair[1].send(b"x")
                await stream.receive()
            with anyio.fail_after(30):
                assert await stream.receive(1) == b"x"


async def test_a_listener_whose_queue_is_full_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        with anyio.fail_after(30):
            async with await connect_unix(path), anyio.create_task_group() as tasks:
                second = anyio.Event()

                async def connect() -> None:
                    async with await connect_unix(path):
                        second.set()

                tasks.start_soon(connect)
                await anyio.sleep(0.02)
                assert not second.is_set()
                listener.accept()[0].close()


async def test_a_socket_that_is_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await connect_unix(str(tmp_path / "none"))
