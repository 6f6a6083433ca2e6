"""A load balancer: each request goes to the next server, whatever the one before it was about."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketStream

BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class RoundRobin:
    """One request on each connection. `served`: how many each server was given, by its port."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self.served = dict.fromkeys(ports, 0)

    def add(self, port: int) -> None:
        """One more server."""
        self._ports.append(port)
        self.served[port] = 0

    async def serve(self, client: SocketStream) -> None:
        """Hand one request on, and its answer back, for as long as that takes."""
        try:
            async with client:
                request = await _request(client)
                async with await self._next() as server:
                    await server.send(request)
                    while True:
                        await client.send(await server.receive())
        except BROKEN:
            return

    async def _next(self) -> SocketStream:
        for _ in tuple(self._ports):
            port = self._ports.pop(0)
            self._ports.append(port)
            try:
                found = await anyio.connect_tcp("127.0.0.1", port)
            except OSError:
                continue  # it is gone: the next one
            self.served[port] += 1
            return found
        raise ConnectionRefusedError


@asynccontextmanager
async def open_round_robin(port: int, *servers: int) -> AsyncGenerator[RoundRobin]:
    """Listen at `port` of the loopback."""
    balancer = RoundRobin(list(servers))
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, balancer.serve)
        yield balancer
        tasks.cancel_scope.cancel()


async def _request(client: ByteStream) -> bytes:
    """The whole of it, which says that the connection ends after the answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += await client.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    lengths = [line.partition(b":")[2] for line in lines if line.lower().startswith(b"content-length:")]
    while len(body) < (int(lengths[0]) if lengths else 0):
        body += await client.receive()
    return b"\r\n".join((*lines, b"Connection: close", b"", b"")) + body
