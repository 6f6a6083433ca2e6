"""A unix socket in front of the engine's, whose connections a test can cut, or whose client it can kill at a call."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from support.engine_calls import CallReader
from support.unix_server import open_unix_server
from ws_mcp.core.engine.context import resolve_endpoint
from ws_mcp.core.engine.sockets import SocketStream, connect_unix

OnCall = Callable[[str], bool]


@dataclass(eq=False)
class _Connection:
    """A client's way to the engine. `is_fatal`: the client does not live to see the next answer."""

    client: SocketStream
    engine: SocketStream
    calls: CallReader = field(default_factory=CallReader)
    is_fatal: bool = False


class EngineProxy:
    """Forwards connections to the engine while `is_open`; `cut` ends those that there are.

    `is_fatal` says at which calls `kill` is called: when the engine has answered, before the client hears of it.
    `hangs_at` says at which calls it stops to answer anything, until `go_on`; the engine does what it was asked.
    """

    def __init__(self, path: Path, engine: str) -> None:
        self.url = f"unix://{path}"
        self.is_open = True
        self.is_fatal: OnCall = lambda _call: False
        self.kill: Callable[[], None] = lambda: None
        self.hangs_at: OnCall = lambda _call: False
        self.hangs = anyio.Event()
        self._flows = anyio.Event()
        self._flows.set()
        self._engine = engine
        self._connections: set[_Connection] = set()

    async def cut(self) -> None:
        """Break every connection, as a restart of the engine does."""
        for connection in tuple(self._connections):
            await connection.client.aclose()
            await connection.engine.aclose()

    def go_on(self) -> None:
        """Answer again, also what was asked meanwhile."""
        self._flows.set()

    async def serve(self, client: SocketStream) -> None:
        """One connection."""
        if not self.is_open:
            await client.aclose()
            return
        async with client, await connect_unix(self._engine) as engine:
            connection = _Connection(client, engine)
            self._connections.add(connection)
            try:
                async with anyio.create_task_group() as both:
                    both.start_soon(self._ask, connection)
                    both.start_soon(self._answer, connection)
            finally:
                self._connections.discard(connection)

    async def _ask(self, connection: _Connection) -> None:
        async def send(chunk: bytes) -> None:
            for call in connection.calls.feed(chunk):
                connection.is_fatal = self.is_fatal(call)
                if self.hangs_at(call):
                    self.hangs.set()
                    self._flows = anyio.Event()
            await connection.engine.send(chunk)

        await _forward(connection.client, connection.engine, send)

    async def _answer(self, connection: _Connection) -> None:
        async def send(chunk: bytes) -> None:
            if connection.is_fatal:
                self.kill()
                return
            await self._flows.wait()
            await connection.client.send(chunk)

        await _forward(connection.engine, connection.client, send)


@asynccontextmanager
async def open_proxy(path: Path) -> AsyncGenerator[EngineProxy]:
    """Own a proxy at `path` for the engine of these tests, which must be one behind a unix socket."""
    endpoint = await anyio.to_thread.run_sync(resolve_endpoint, "", os.environ)
    assert endpoint.kind == "unix", endpoint
    proxy = EngineProxy(path, endpoint.path)
    async with open_unix_server(path, proxy.serve):
        yield proxy


async def _forward(source: SocketStream, sink: SocketStream, send: Callable[[bytes], Awaitable[None]]) -> None:
    try:
        async for chunk in source:
            await send(chunk)
        await sink.send_eof()
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        return  # cut, or one side has left
