"""Byte streams in memory: two ends of a connection, an echo, and an end that has said all it will say."""

from __future__ import annotations

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

LIMIT_BYTES = 64 * 1024  # what a socket would hold before its sender waits


class _Pipe:
    """One direction."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.has_ended = False  # nobody will write
        self.is_unread = False  # nobody will read
        self._changed = anyio.Event()

    def wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self) -> None:
        await self._changed.wait()


class PipeEnd(ByteStream):
    """One end of a connection in memory."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._is_closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while not self._incoming.content:
            if self._is_closed:
                raise anyio.ClosedResourceError
            if self._incoming.has_ended:
                raise anyio.EndOfStream
            await self._incoming.wait()
        received = bytes(self._incoming.content[:max_bytes])
        del self._incoming.content[:max_bytes]
        self._incoming.wake()
        return received

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        rest = memoryview(bytes(item))
        while rest:
            if self._is_closed:
                raise anyio.ClosedResourceError
            if self._outgoing.is_unread or self._outgoing.has_ended:
                raise anyio.BrokenResourceError
            room = LIMIT_BYTES - len(self._outgoing.content)
            if room <= 0:
                await self._outgoing.wait()
                continue
            self._outgoing.content += rest[:room]
            rest = rest[room:]
            self._outgoing.wake()

    async def send_eof(self) -> None:
        self._outgoing.has_ended = True
        self._outgoing.wake()

    async def aclose(self) -> None:
        self.cut()
        self._is_closed = True
        self._incoming.wake()
        await anyio.lowlevel.checkpoint()

    def cut(self) -> None:
        """End both directions, as when the far side dies; what was sent before can still be received."""
        for pipe in (self._incoming, self._outgoing):
            pipe.has_ended = True
            pipe.is_unread = True
            pipe.wake()


def byte_pipe() -> tuple[PipeEnd, PipeEnd]:
    """The two ends of a connection."""
    one, other = _Pipe(), _Pipe()
    return PipeEnd(one, other), PipeEnd(other, one)


def echo_end() -> PipeEnd:
    """An end that gets back what it sends, like `cat`."""
    pipe = _Pipe()
    return PipeEnd(pipe, pipe)


def said_end(content: bytes) -> PipeEnd:
    """An end whose far side has written `content` and gone."""
    said, ignored = _Pipe(), _Pipe()
    said.content += content
    said.has_ended = True
    return PipeEnd(said, ignored)
