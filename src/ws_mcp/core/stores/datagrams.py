"""News between the servers of one state directory: each has a datagram socket there, and all others send to it."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread

from ws_mcp.core.stores.port import Hear, Tell

MOST = 32  # texts in a datagram, each of `MAX_TEXT` bytes at most: half of what a socket takes by default
RECEIVED = 1 << 18
LATE_S = 0.5  # between two tries to tell one that was too busy to listen that it has missed something
_MISSED = b"null"
_FULL = (errno.EAGAIN, errno.ENOBUFS)

log = logging.getLogger(__name__)


class _Sockets:
    """The sockets below one directory, by short paths: those of a state directory can be too long for a socket."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directory = directory
        self._own = secrets.token_hex(8)
        self.late: set[str] = set()  # the sockets that have missed something
        self.receiving = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.receiving.setblocking(False)
        self._sending = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sending.setblocking(False)
        try:
            self.receiving.bind(self._address(self._own))
        except OSError:
            self.close()
            raise

    def send(self, content: bytes) -> None:
        """To all others; who cannot take it is late."""
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names, not paths
        except OSError as error:  # too many open files, say: that must not end the server
            log.warning("other servers cannot be told what changed: %s", error.strerror)
            return
        for name in names:
            if name != self._own and name not in self.late:
                self._send_to(name, content)

    def send_late(self) -> None:
        """Tell those that are late that they are."""
        for name in tuple(self.late):
            self.late.discard(name)
            self._send_to(name, _MISSED)

    def close(self) -> None:
        self.receiving.close()
        self._sending.close()
        self._clear(self._own)
        os.close(self._handle)

    def _clear(self, name: str) -> None:
        # A disk that takes nothing must not end the server; whoever is told nothing by a socket clears it later.
        with suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)

    def _send_to(self, name: str, content: bytes) -> None:
        try:
            self._sending.sendto(content, self._address(name))
        except ConnectionRefusedError:
            self._clear(name)  # of a server that was killed
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in _FULL:
                self.late.add(name)
            else:
                log.info("another server cannot be told what changed: %s", error.strerror)

    def _address(self, name: str) -> str:
        by_handle = Path(f"/proc/self/fd/{self._handle}")
        return str((by_handle if by_handle.exists() else self._directory) / name)


@asynccontextmanager
async def open_datagrams(directory: Path, hear: Hear) -> AsyncGenerator[Tell]:
    """Hear and tell as long as the block runs. Where there can be no socket nothing is heard, and all else goes on."""
    try:
        sockets = await anyio.to_thread.run_sync(_Sockets, directory)
    except OSError as error:
        log.warning("what other servers change is seen late: no socket in the state directory (%s)", error.strerror)
        yield _nobody
        return
    late = anyio.Event()

    async def tell(texts: Sequence[str]) -> None:
        for first in range(0, len(texts), MOST):
            content = json.dumps(texts[first : first + MOST]).encode()
            await anyio.to_thread.run_sync(sockets.send, content)
        if sockets.late:
            late.set()

    async def remind() -> None:
        nonlocal late
        while True:
            await late.wait()
            await anyio.sleep(LATE_S)
            await anyio.to_thread.run_sync(sockets.send_late)
            if not sockets.late:
                late = anyio.Event()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_receive, sockets.receiving, hear)
            tasks.start_soon(remind)
            yield tell
            tasks.cancel_scope.cancel()
    finally:
        sockets.close()


async def _nobody(_: Sequence[str]) -> None:
    return


async def _receive(receiving: socket.socket, hear: Hear) -> None:
    while True:
        await anyio.wait_readable(receiving)
        try:
            content = receiving.recv(RECEIVED)
        except BlockingIOError:
            continue
        for text in _texts(content):
            hear(text)


def _texts(content: bytes) -> Sequence[str | None]:
    try:
        said = cast("object", json.loads(content))
    except ValueError:
        return (None,)
    return [str(text) for text in cast("list[object]", said)] if isinstance(said, list) else (None,)
