"""Two ends of a byte stream in memory, visible to the virtual clock."""

from __future__ import annotations

import math

import anyio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream


class MemoryStream(ByteStream):
    """One end. What was sent comes out in pieces of any size, as of a socket."""

    def __init__(self, outbox: MemoryObjectSendStream[bytes], inbox: MemoryObjectReceiveStream[bytes]) -> None:
        self._outbox = outbox
        self._inbox = inbox
        self._rest = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        chunk = self._rest or await self._inbox.receive()
        self._rest = chunk[max_bytes:]
        return chunk[:max_bytes]

    async def send(self, item: bytes) -> None:
        await self._outbox.send(item)

    async def send_eof(self) -> None:
        await self._outbox.aclose()

    async def aclose(self) -> None:
        await self._outbox.aclose()
        await self._inbox.aclose()


def memory_streams(room: float = math.inf) -> tuple[MemoryStream, MemoryStream]:
    """Two connected ends; a sender waits when `room` sends were not received yet."""
    there_out, there_in = anyio.create_memory_object_stream[bytes](room)
    back_out, back_in = anyio.create_memory_object_stream[bytes](room)
    return MemoryStream(there_out, back_in), MemoryStream(back_out, there_in)
