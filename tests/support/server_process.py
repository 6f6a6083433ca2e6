"""An HTTP server of ours as a child, on a free port of the loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp import Client

from support.http_ground import http_client
from support.peers import project_of, server_argv, server_environment

START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """A running server, where it answers, and the token that it made for itself at its first start."""

    child: subprocess.Popen[bytes]
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
    argv = [*server_argv("http", state, *flags), "--port", str(port)]
    with (state.parent / f"http-{port}.log").open("wb") as log:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**server_environment(), **(environment or {})},
            cwd=project_of(state),
        )
    try:
        _wait_until_it_listens(child, port)
        own = state / "http-token"
        token = own.read_text().strip() if own.exists() else ""
        yield HttpServer(child=child, url=f"http://127.0.0.1:{port}/mcp", token=token)
    finally:
        child.kill()
        child.wait()


def free_port() -> int:
    """A port of the loopback that nobody had a moment ago."""
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
