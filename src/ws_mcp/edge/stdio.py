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
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError

from ws_mcp.edge.messages import EDGE_BYTES, MAX_BYTES, parsed

READ_BYTES = 64 * 1024
WRITE_BYTES = 64 * 1024  # of answers that wait for a client that does not read: the next one is not taken before

# The other end has gone: of a pipe, of a socket, of a terminal.
GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO)

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


class _End:
    """What the SDK closes when serving is over."""

    async def aclose(self) -> None:
        """The descriptor stays open: it is not ours."""
        await anyio.lowlevel.checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


class Messages(_End):
    """What comes by one descriptor: who asks for the next message reads it, so that none waits for another task."""

    def __init__(self, fd: int, answers: Answers) -> None:
        self._fd = fd
        self._answers = answers
        self._line = Line()
        self._found: deque[SessionMessage | JSONRPCError] = deque()

    async def receive(self) -> SessionMessage | Exception:
        """The next message; each line before it that is none is refused.

        Raises:
            EndOfStream: stdin has ended.
        """
        while True:
            while self._found:
                found = self._found.popleft()
                if isinstance(found, SessionMessage):
                    return found
                await self._answers.send(SessionMessage(found))
            block = await _read(self._fd)
            if not block:
                raise anyio.EndOfStream
            self._cut(block)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    def _cut(self, block: bytes) -> None:
        *parts, rest = block.split(b"\n")
        for part in parts:
            self._line.add(part)
            whole, is_whole = self._line.take()
            if whole.strip():
                self._found.append(parsed(whole, is_whole=is_whole))
        self._line.add(rest)


class Answers(_End):
    """What goes by one descriptor: at once where that can be, else by a task, so that a cancel cuts no line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ready = select.poll()
        self._ready.register(fd, select.POLLOUT)
        self._rest = bytearray()
        self._is_stuck, self._is_free = anyio.Event(), anyio.Event()
        self.broken = anyio.Event()

    async def send(self, item: SessionMessage, /) -> None:
        """Write a line; returns when it is written, or is the next to be, in `WRITE_BYTES` at most.

        Raises:
            BrokenResourceError: nobody reads.
        """
        while len(self._rest) >= WRITE_BYTES:
            await self._is_free.wait()
        is_behind = bool(self._rest)
        self._rest += _line(item)
        if not is_behind:
            self._write()
        if self._rest:
            self._is_stuck.set()
        await anyio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Write what could not be written at once, until cancelled."""
        while True:
            await self._is_stuck.wait()
            self._is_stuck = anyio.Event()
            while self._rest:
                await anyio.wait_writable(self._fd)
                with suppress(anyio.BrokenResourceError):
                    self._write()
                self._is_free.set()
                self._is_free = anyio.Event()

    def _write(self) -> None:
        # Where a pipe can be written to at all, it takes PIPE_BUF bytes at once: so a blocking descriptor never blocks,
        # and its flags, which other processes share, stay as they are.
        try:
            while self._rest and self._ready.poll(0):
                del self._rest[: os.write(self._fd, self._rest[: select.PIPE_BUF])]
        except OSError as error:
            if error.errno not in GONE:
                raise
            self._rest.clear()
            self.broken.set()
            raise anyio.BrokenResourceError from None


@asynccontextmanager
async def open_stdio(reading: int, writing: int) -> AsyncGenerator[tuple[Messages, Answers]]:
    """Messages from one descriptor, answers to another; the block is cancelled when nobody reads stdout."""
    answers = Answers(writing)

    async def end_when_broken() -> None:
        await answers.broken.wait()
        log.info("the client closed its end of stdout")
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answers.run)
        tasks.start_soon(end_when_broken)
        yield Messages(reading, answers), answers
        tasks.cancel_scope.cancel()


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
