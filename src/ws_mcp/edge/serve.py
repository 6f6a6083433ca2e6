"""How serving begins and ends: at the end of stdin, at TERM and INT, and at once when asked twice.

The SDK's `run` and uvicorn's signal handling both end without closing what stands around them; here the signals are
taken once, outside of everything, and serving ends like any other block.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import anyio
from anyio.abc import TaskStatus
from mcp.server import MCPServer

from ws_mcp.edge.stdio import open_stdio, standard_streams

log = logging.getLogger(__name__)

OnReload = Callable[[], Awaitable[None]]
"""Reads again what the operator may have changed."""


class Stop:
    """Set when the server was asked to end."""

    def __init__(self) -> None:
        self._asked = anyio.Event()
        self.signal: signal.Signals | None = None

    @property
    def is_asked(self) -> bool:
        """Whether it is time to end."""
        return self._asked.is_set()

    @property
    def code(self) -> int:
        """The exit code that says how the server ended: 0, or 128 and the signal, as shells count."""
        return 128 + self.signal if self.signal else 0

    def ask(self, by: signal.Signals | None = None) -> None:
        """End soon."""
        self.signal = self.signal or by
        self._asked.set()

    async def wait(self) -> None:
        """Until the server is asked to end."""
        await self._asked.wait()


@asynccontextmanager
async def open_stop(on_reload: OnReload | None = None) -> AsyncGenerator[Stop]:
    """Take the signals of this process, outside of all that has to be closed: the second one ends it at once.

    HUP does not end a server that has something to read again.
    """
    stop = Stop()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_take_signals, stop, on_reload)
        yield stop
        tasks.cancel_scope.cancel()


async def _take_signals(stop: Stop, on_reload: OnReload | None, *, task_status: TaskStatus[None]) -> None:
    wanted = (signal.SIGTERM, signal.SIGINT, *((signal.SIGHUP,) if on_reload else ()))
    with anyio.open_signal_receiver(*wanted) as signals:
        task_status.started()
        async for taken in signals:
            if on_reload and taken is signal.SIGHUP:
                await _reloaded(on_reload)
                continue
            if stop.is_asked:
                os._exit(128 + taken)
            stop.ask(taken)


async def _reloaded(on_reload: OnReload) -> None:
    try:
        await on_reload()
    except Exception:
        # A file that cannot be read again must not end what serves others.
        log.exception("what was to be read again stays as it was")


def end(code: int) -> NoReturn:
    """Leave the process after everything was closed, past worker threads that wait for an engine which hangs."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def serve_stdio(server: MCPServer, stop: Stop) -> int:
    """Serve one client over stdin and stdout until stdin ends or `stop` is asked; returns the exit code."""
    with standard_streams() as (reading, writing):
        await serve_descriptors(server, stop, reading, writing)
    return stop.code


async def serve_descriptors(server: MCPServer, stop: Stop, reading: int, writing: int) -> None:
    """Serve one client over two file descriptors until the first one ends or `stop` is asked."""
    # The SDK has no public way to serve an MCPServer over streams of one's own.
    inner = server._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # mcp>=2.3,<2.4
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            async with open_stdio(reading, writing) as (messages, answers):
                await inner.run(messages, answers, inner.create_initialization_options())
            stop.ask()

        tasks.start_soon(serve)
        await stop.wait()
        tasks.cancel_scope.cancel()
