"""A unix socket in front of the engine's that counts the requests that go through."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ws_mcp.core.engine.context import resolve_endpoint

_REQUEST = re.compile(rb"^(?:GET|HEAD|POST|PUT|DELETE) \S+ HTTP/1\.1\r$", re.MULTILINE)
BLOCK = 1 << 16


class Counting:
    """`count` is read and reset by who measures. A request whose first line is cut in two would be missed."""

    def __init__(self, path: Path, engine: str) -> None:
        self.url = f"unix://{path}"
        self.count = 0
        self._engine = engine
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those that there are end with their client."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._engine)
            threading.Thread(target=self._forward, args=(client, engine), daemon=True).start()
            threading.Thread(target=self._forward, args=(engine, client), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(BLOCK):
                self.count += len(_REQUEST.findall(chunk))  # answers begin otherwise
                sink.sendall(chunk)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def open_counting(path: Path) -> Generator[Counting]:
    """A counter at `path` for the engine of this run, which must be one behind a unix socket."""
    endpoint = resolve_endpoint("", os.environ)
    if endpoint.kind != "unix":
        raise ValueError(f"requests to {endpoint} cannot be counted: it is no unix socket")
    counting = Counting(path, endpoint.path)
    try:
        yield counting
    finally:
        counting.close()
