"""How serving begins and ends: at the end of stdin, at TERM and INT, and at once when asked twice.

The SDK's `run` and uvicorn's signal handling both end without closing what stands around them; here the signals are
taken once, outside of everything, and serving ends like any other block.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import NoReturn

import anyio
from anyio.abc import TaskStatus
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from uvicorn import Config, Server

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.edge.stdio import open_stdio, standard_streams

PATH = "/mcp"
END_S = 2  # how long open calls and streams may go on after HTTP serving was asked to end; uvicorn takes whole seconds
MAX_SESSIONS = 1000  # of clients of the older era; the SDK ends them after 30 idle minutes
MAX_CONNECTIONS = 1000

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
                await on_reload()
                continue
            if stop.is_asked:
                os._exit(128 + taken)
            stop.ask(taken)


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


async def serve_http(
    server: MCPServer, stop: Stop, host: str, port: int, ready: Callable[[str], None] = lambda _: None
) -> int:
    """Serve over streamable HTTP until `stop` is asked; returns the exit code. `ready` is told the address.

    Raises:
        InvalidArgumentError: the address is none of this machine's loopback, or is taken.
    """
    with _listening(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        origin = f"http://{shown}:{listener.getsockname()[1]}"
        app = server.streamable_http_app(
            streamable_http_path=PATH, transport_security=_security(origin), max_sessions=MAX_SESSIONS
        )
        http = _http_server(app)
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                await http.serve(sockets=[listener])
                stop.ask()

            tasks.start_soon(serve)
            ready(origin + PATH)
            await stop.wait()
            http.should_exit = True
    return stop.code


def _http_server(app: Starlette) -> Server:
    return _Quiet(
        Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="none",
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=END_S,
        )
    )


def _security(origin: str) -> TransportSecuritySettings:
    """Names of this machine only, at any port (it may be forwarded); a page in a browser must be our own."""
    port = origin.rpartition(":")[2]
    own = origin.removeprefix("http://").removesuffix(f":{port}")
    names = tuple(dict.fromkeys(("127.0.0.1", "localhost", "[::1]", own)))
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*names, *(f"{name}:*" for name in names)],
        allowed_origins=[origin, *(f"http://{name}:{port}" for name in names)],
    )


class _Quiet(Server):
    """Takes no signals: they are `Stop`'s."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    try:
        is_loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise InvalidArgumentError(
            f"ws-mcp does not listen on {host!r}: who reaches it controls the container engine, and there is no "
            "authentication yet. Use 127.0.0.1, ::1 or localhost; from elsewhere forward a port, with ssh -L say"
        )
    if not 0 <= port <= 65535:
        raise InvalidArgumentError(f"port {port} is none: 0 (any free one) to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InvalidArgumentError(f"the address {host!r} cannot be looked up: {error.strerror}") from error
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise InvalidArgumentError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
            ) from error
        listener.listen()
        yield listener
