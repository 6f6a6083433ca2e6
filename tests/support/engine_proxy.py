"""A unix socket in front of the engine's, whose connections a test can cut."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import SocketStream

from ws_mcp.core.engine.context import resolve_endpoint


class EngineProxy:
    """Forwards connections to the engine while `is_open`; `cut` ends those that there are."""

    def __init__(self, path: Path, engine: str) -> None:
        self.url = f"unix://{path}"
        self.is_open = True
        self._engine = engine
        self._connections: set[SocketStream] = set()

    async def cut(self) -> None:
        """Break every connection, as a restart of the engine does."""
        for stream in tuple(self._connections):
            await stream.aclose()

    async def serve(self, client: SocketStream) -> None:
        """One connection."""
        if not self.is_open:
            await client.aclose()
            return
        async with client, await anyio.connect_unix(self._engine) as engine:
            self._connections |= {client, engine}
            try:
                async with anyio.create_task_group() as both:
                    both.start_soon(_forward, client, engine)
                    both.start_soon(_forward, engine, client)
            finally:
                self._connections -= {client, engine}


@asynccontextmanager
async def open_proxy(path: Path) -> AsyncGenerator[EngineProxy]:
    """Own a proxy at `path` for the engine of these tests, which must be one behind a unix socket."""
    endpoint = await anyio.to_thread.run_sync(resolve_endpoint, "", os.environ)
    assert endpoint.kind == "unix", endpoint
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        proxy = EngineProxy(path, endpoint.path)
        tasks.start_soon(listener.serve, proxy.serve)
        yield proxy
        tasks.cancel_scope.cancel()


async def _forward(source: SocketStream, sink: SocketStream) -> None:
    try:
        async for chunk in source:
            await sink.send(chunk)
        await sink.send_eof()
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        return  # cut, or one side has left
