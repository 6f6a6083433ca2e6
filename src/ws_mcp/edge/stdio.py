"""The stdio transport: one JSON-RPC message a line, in bounded memory, without threads.

The SDK's own transport reads lines of any length and answers a line that is no message with nothing. Here a line has
at most 4 MiB and a sane shape, and each bad one gets an error, with the id of its request where that can be read for
sure. Waiting for stdin can be cancelled, so that a server ends when it is asked to.
"""

from __future__ import annotations

import errno
import logging
import os
import select
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from ws_mcp.edge.messages import EDGE_BYTES, MAX_BYTES, parsed

READ_BYTES = 64 * 1024
WRITE_BYTES = 64 * 1024  # of answers that are put together for one write

# The other end has gone: of a pipe, of a socket, of a terminal.
GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO)

Messages = MemoryObjectReceiveStream[SessionMessage | Exception]
Answers = MemoryObjectSendStream[SessionMessage]

log = logging.getLogger(__name__)


class Line:
    """The bytes of a line that are kept: all of a short one, both ends of one that is too long."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._size = 0

    def add(self, part: bytes) -> None:
        """The next bytes of it."""
        self._size += len(part)
        self._kept += part
        if self._size > MAX_BYTES and len(self._kept) > 2 * EDGE_BYTES:
            del self._kept[EDGE_BYTES:-EDGE_BYTES]

    def take(self) -> tuple[bytes, bool]:
        """The line and whether it is whole; the next one begins."""
        line, is_whole = bytes(self._kept), self._size <= MAX_BYTES
        self._kept.clear()
        self._size = 0
        return line, is_whole


@contextmanager
def standard_streams() -> Generator[tuple[int, int]]:
    """Descriptors of the real stdin and stdout; meanwhile a stray `print` goes to stderr, and children read nothing."""
    reading, writing, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    try:
        yield reading, writing
    finally:
        os.dup2(reading, 0)
        os.dup2(writing, 1)
        for fd in (reading, writing, nothing):
            os.close(fd)


@asynccontextmanager
async def open_stdio(reading: int, writing: int) -> AsyncGenerator[tuple[Messages, Answers]]:
    """Messages from one descriptor, answers to another; both ends close when stdin ends or nobody reads stdout."""
    arrived, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    answers, leaving = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as tasks, messages, answers:
        tasks.start_soon(_read_messages, reading, arrived, answers.clone())
        tasks.start_soon(_write_messages, writing, leaving, tasks.cancel_scope)
        yield messages, answers
        tasks.cancel_scope.cancel()


async def _read_messages(
    fd: int, arrived: MemoryObjectSendStream[SessionMessage | Exception], refusals: Answers
) -> None:
    line = Line()
    async with arrived, refusals:
        while block := await _read(fd):
            *parts, rest = block.split(b"\n")
            for part in parts:
                line.add(part)
                whole, is_whole = line.take()
                if not whole.strip():
                    continue
                found = parsed(whole, is_whole=is_whole)
                if isinstance(found, SessionMessage):
                    await arrived.send(found)
                else:
                    await refusals.send(SessionMessage(found))
            line.add(rest)


async def _write_messages(
    fd: int, leaving: MemoryObjectReceiveStream[SessionMessage], scope: anyio.CancelScope
) -> None:
    try:
        async with leaving:
            async for message in leaving:
                lines = _line(message)
                # What waits to be sent at the same moment goes in one write: each one wakes the client.
                with suppress(anyio.WouldBlock, anyio.EndOfStream):
                    while len(lines) < WRITE_BYTES:
                        lines += _line(leaving.receive_nowait())
                await _write(fd, lines)
    except OSError as error:
        if error.errno not in GONE:
            raise
        log.info("the client closed its end of stdout")
        scope.cancel()


def _line(message: SessionMessage) -> bytes:
    return message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


async def _read(fd: int) -> bytes:
    with suppress(PermissionError):  # a regular file and /dev/null never block, and epoll takes neither
        await anyio.wait_readable(fd)
    try:
        return os.read(fd, READ_BYTES)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return b""


async def _write(fd: int, data: bytes) -> None:
    # Where a pipe can be written to at all, it takes PIPE_BUF bytes at once: so a blocking descriptor never blocks, and
    # its flags, which other processes share, stay as they are.
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        if not ready.poll(0):
            await anyio.wait_writable(fd)
        rest = rest[os.write(fd, rest[: select.PIPE_BUF]) :]
