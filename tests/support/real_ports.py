"""Servers of a test at ports of this machine, with the ways of `FakePorts`."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import anyio.to_thread

ANYWHERE = ""


class RealPorts:
    """Servers at every address of this machine."""

    def free_port(self) -> int:
        """One at which nothing listens."""
        with socket.socket() as found:
            found.bind((ANYWHERE, 0))
            return int(found.getsockname()[1])

    @asynccontextmanager
    async def listen(self, port: int, answer: bytes | None) -> AsyncGenerator[None]:
        """A server there as long as the block lasts; without an answer it is silent until the client leaves."""

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with suppress(ConnectionError):
                    while self.request.recv(4096):
                        if answer is not None:
                            self.request.sendall(answer)
                            return

        # In threads: asyncio cannot cancel an accept at the moment when a client comes (InvalidStateError, 3.11).
        with ThreadingTCPServer((ANYWHERE, port), Handler) as server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(server.shutdown)
                    await anyio.to_thread.run_sync(thread.join)
