"""An HTTP server of ours as a child, on a free port of the loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp import Client

from support.forked import forked_argv
from support.http_ground import http_client
from support.peers import MODULE, project_of, server_argv, server_environment

START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """A running server, where it answers, and the token that it made for itself at its first start.

    `child` ends as the server does and passes signals on; `pid` is the server.
    """

    child: subprocess.Popen[bytes]
    pid: int
    url: str
    token: str

    def client(self, mode: str = "auto") -> AbstractAsyncContextManager[Client]:
        """A client of an era with that token."""
        return http_client(self.url, self.token, mode)


@contextmanager
def open_http(state: Path, *flags: str) -> Generator[HttpServer]:
    """Start a server, wait until it listens, and end it by force where the test has not ended it."""
    port = _free_port()
    pid_file = state.parent / f"http-{port}.pid"
    argv = forked_argv(pid_file, *server_argv("http", state, *flags)[MODULE:], "--port", str(port))
    with (state.parent / f"http-{port}.log").open("wb") as log:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=server_environment(), cwd=project_of(state)
        )
    try:
        _wait_until_it_listens(child, port)
        token = (state / "http-token").read_text().strip()
        yield HttpServer(child=child, pid=int(pid_file.read_text()), url=f"http://127.0.0.1:{port}/mcp", token=token)
    finally:
        child.kill()
        child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(child: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise AssertionError(f"the HTTP server ended with code {child.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the HTTP server did not listen within {START_S} s")
