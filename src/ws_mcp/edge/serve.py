"""How serving begins and ends: at the end of stdin, at TERM, INT and HUP, in bounded time, at once when asked twice.

The SDK's `run` and uvicorn's signal handling both end without closing what stands around them; here the signals are
taken once, outside of everything, and serving ends like any other block. One that cannot be closed in time ends as if
it were killed, which loses nothing: what is half done is put right by the next server.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeVarTuple, Unpack, cast

import anyio
from anyio.abc import TaskStatus
from mcp.server import MCPServer

from ws_mcp.core.errors import WsError
from ws_mcp.edge.stdio import open_stdio, standard_streams

log = logging.getLogger(__name__)

SIGNALLED_S = 18.0  # from a signal to the exit; the promise is 20
LEFT_S = 4.5  # from the end of stdin to the exit; the promise is 5, since hosts wait no longer before they kill
SAID_S = 0.5  # before that, so that the log says why it was not waited for any longer
FAULT = 70  # the exit code of a server that ends by a fault of its own; EX_SOFTWARE of sysexits.h

Ts = TypeVarTuple("Ts")
OnReload = Callable[[], Awaitable[None]]
"""Reads again what the operator may have changed."""


def run(serve: Callable[[Unpack[Ts]], Awaitable[None]], *arguments: *Ts) -> None:
    """Serve with an event loop of its own; a fault of ours ends the process, and the exit code says so.

    Raises:
        WsError: or a group of such: what is expected.
    """
    try:
        anyio.run(serve, *arguments)
    except Exception as error:
        if _is_expected(error):
            raise
        log.critical("this server ended by a fault of its own; please report it", exc_info=error)
        end(FAULT)


def _is_expected(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_expected, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    return isinstance(error, WsError)


class Stop:
    """Set when the server was asked to end."""

    def __init__(self) -> None:
        self._asked = anyio.Event()
        self.signal: signal.Signals | None = None
        self._is_fault = False

    @property
    def is_asked(self) -> bool:
        """Whether it is time to end."""
        return self._asked.is_set()

    @property
    def code(self) -> int:
        """The exit code that says how the server ended: 0, or 128 and the signal, as shells count; or `FAULT`."""
        return FAULT if self._is_fault else 128 + self.signal if self.signal else 0

    @property
    def within_s(self) -> float:
        """How long the end may take, from when it was asked for."""
        return SIGNALLED_S if self.signal or self._is_fault else LEFT_S

    def ask(self, by: signal.Signals | None = None, *, is_fault: bool = False) -> None:
        """End soon. What asks first decides how: a host that closed stdin sends signals when it gets impatient."""
        if not self.is_asked:
            self.signal, self._is_fault = by, is_fault
        self._asked.set()

    async def wait(self) -> None:
        """Until the server is asked to end."""
        await self._asked.wait()


@asynccontextmanager
async def open_stop(on_reload: OnReload | None = None) -> AsyncGenerator[Stop]:
    """Take the signals of this process, outside of all that has to be closed: the second one ends it at once.

    HUP does not end a server that has something to read again, or that was started deaf to it (`nohup`).
    """
    stop = Stop()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_take_signals, stop, on_reload)
        tasks.start_soon(_bound, stop)
        yield stop
        tasks.cancel_scope.cancel()


async def _take_signals(stop: Stop, on_reload: OnReload | None, *, task_status: TaskStatus[None]) -> None:
    ends = [signal.SIGTERM, signal.SIGINT]
    if on_reload is None and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)
    with anyio.open_signal_receiver(*ends, *((signal.SIGHUP,) if on_reload else ())) as signals:
        task_status.started()
        async for taken in signals:
            if on_reload and taken is signal.SIGHUP:
                await _reloaded(on_reload)
                continue
            stop.ask(taken)
            for each in ends:  # without the event loop, which may be held up by what is being closed
                signal.signal(each, _leave)


def _leave(taken: int, _: FrameType | None) -> None:
    os._exit(128 + taken)


async def _bound(stop: Stop) -> None:
    await stop.wait()
    last = threading.Timer(stop.within_s, os._exit, (stop.code,))  # a thread, for the same reason
    last.daemon = True
    last.start()
    try:
        await anyio.sleep(stop.within_s - SAID_S)
        log.warning("not everything could be closed in time: the next server puts right what is half done")
        await anyio.sleep_forever()
    finally:
        last.cancel()


async def _reloaded(on_reload: OnReload) -> None:
    try:
        await on_reload()
    except Exception:
        # A file that cannot be read again must not end what serves others.
        log.exception("what was to be read again stays as it was")


def end(code: int) -> NoReturn:
    """Leave the process after everything was closed, past worker threads that wait for an engine which hangs."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody is at the other end any more
            stream.flush()
    os._exit(code)


@contextmanager
def fault_seen(stop: Stop) -> Generator[None]:
    """What breaks here ends the server, so from now on its end is bounded."""
    try:
        yield
    except BaseException:
        stop.ask(is_fault=True)
        raise


async def serve_stdio(server: MCPServer, stop: Stop) -> int:
    """Serve one client over stdin and stdout until stdin ends or `stop` is asked; returns the exit code."""
    with standard_streams() as (reading, writing), fault_seen(stop):
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
