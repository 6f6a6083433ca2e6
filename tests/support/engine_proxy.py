"""A unix socket in front of the engine's: connections are cut, calls are answered late, wrongly, by halves or never.

Or the client is killed at a call, or the engine.
"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What becomes of a call. Nothing said: it is passed on, and so is its answer.

    `instead`: these bytes are its answer, and the end of the connection; the engine is not asked (b"": reset at once).
    `cut_at`: so many bytes of the engine's answer arrive, then the connection ends. `is_silent`: the head of the answer
    arrives, and nothing ever after. `is_never`: it is not answered at all.
    """

    delay_s: float = 0.0
    instead: bytes | None = None
    cut_at: int | None = None
    is_silent: bool = False
    is_never: bool = False


FINE = Trouble()
OnTrouble = Callable[[str], Trouble]


def answer_of(status: int, body: str, length: int | None = None) -> bytes:
    """An answer with a JSON body, which says that it has `length` bytes."""
    said = len(body) if length is None else length
    return f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {said}\r\n\r\n{body}".encode()


@dataclass(eq=False)
class _Connection:
    """A client's way to the engine. `is_fatal`: the client does not live to see the next answer."""

    client: SocketStream
    engine: SocketStream
    calls: CallReader = field(default_factory=CallReader)
    is_fatal: bool = False
    trouble: Trouble = FINE
    sent: int = 0  # bytes of the answer


class EngineProxy:
    """Forwards connections to the engine while `is_open`; `cut` ends those that there are.

    `is_fatal` says at which calls `kill` is called: when the engine has answered, before the client hears of it.
    `hangs_at` says at which calls it stops to answer anything, until `go_on`; the engine does what it was asked.
    `trouble` says what becomes of calls (`METHOD path?query`) besides; `calls` are those that came.
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
        self.trouble: OnTrouble = lambda _call: FINE
        self.calls: list[str] = []
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
        try:
            opened = await connect_unix(self._engine)
        except OSError:
            await client.aclose()  # the engine is down
            return
        async with client, opened as engine:
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
                self.calls.append(call)
                connection.is_fatal = self.is_fatal(call)
                if self.hangs_at(call):
                    self.hangs.set()
                    self._flows = anyio.Event()
                connection.trouble, connection.sent = self.trouble(call), 0
            trouble = connection.trouble
            await anyio.sleep(trouble.delay_s)
            if trouble.instead is not None:
                await connection.client.send(trouble.instead)
                await connection.client.aclose()
                await connection.engine.aclose()
            elif not trouble.is_never:
                await connection.engine.send(chunk)

        await _forward(connection.client, connection.engine, send)

    async def _answer(self, connection: _Connection) -> None:
        async def send(chunk: bytes) -> None:
            if connection.is_fatal:
                self.kill()
                return
            await self._flows.wait()
            trouble = connection.trouble
            if trouble.is_silent:
                head, end, _ = chunk.partition(b"\r\n\r\n")
                chunk = head + end if not connection.sent else b""
            if trouble.cut_at is not None:
                chunk = chunk[: max(trouble.cut_at - connection.sent, 0)]
            connection.sent += len(chunk)
            if chunk:
                await connection.client.send(chunk)
            if trouble.cut_at is not None and connection.sent >= trouble.cut_at:
                await connection.client.aclose()
                await connection.engine.aclose()

        await _forward(connection.engine, connection.client, send)


@asynccontextmanager
async def open_proxy(path: Path, engine: str = "") -> AsyncGenerator[EngineProxy]:
    """Own a proxy at `path` for the engine of these tests, or that at `engine`; it must be behind a unix socket."""
    endpoint = await anyio.to_thread.run_sync(resolve_endpoint, engine, os.environ)
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
