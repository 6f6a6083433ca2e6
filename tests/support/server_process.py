"""An HTTP server of ours as a child, on a free port of the loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp import Client

from support.forked import forked_argv
from support.http_ground import http_client
from support.listening import free_port, wait_until_it_listens
from support.peers import MODULE, project_of, server_argv, server_environment


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
def open_http(state: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Generator[HttpServer]:
    """Start a server, wait until it listens, and end it by force where the test has not ended it.

    `environment` is added to this one's. Where others have made a token before, it makes none.
    """
    port = free_port()
    pid_file = state.parent / f"http-{port}.pid"
    argv = forked_argv(pid_file, *server_argv("http", state, *flags)[MODULE:], "--port", str(port))
    written = state.parent / f"http-{port}.log"
    with written.open("wb") as log:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**server_environment(), **(environment or {})},
            cwd=project_of(state),
        )
    try:
        wait_until_it_listens(child, port, written)
        own = state / "http-token"
        token = own.read_text().strip() if own.exists() else ""
        yield HttpServer(child=child, pid=int(pid_file.read_text()), url=f"http://127.0.0.1:{port}/mcp", token=token)
    finally:
        child.kill()
        child.wait()
