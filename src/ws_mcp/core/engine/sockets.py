"""A byte stream over a socket of this machine: one system call and at most one wait for each piece.

Not anyio's own: on asyncio its unix streams log an error when a receive is cancelled in the moment in which bytes come
(4.16: `_wait_until_readable` sets the result of a future that is cancelled), and wait once more than they need.
"""

from __future__ import annotations

import socket

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

RETRY_S = 0.01  # until a listener whose queue was full is asked again


class SocketStream(ByteStream):
    """Owns a connected socket."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint_if_cancelled()
        has_waited = False
        while True:
            try:
                received = self._socket.recv(max_bytes)
                break
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
                has_waited = True
            except OSError as error:
                raise self._lost() from error
        if not has_waited:
            await anyio.lowlevel.cancel_shielded_checkpoint()
        if not received:
            raise anyio.EndOfStream
        return received

    async def send(self, item: bytes) -> None:
        """Returns at once where the socket has room, without letting others run: it is called for whole requests."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise self._lost() from error

    async def send_eof(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._lost() from error

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            self._socket.close()
        await anyio.lowlevel.checkpoint()

    def _lost(self) -> anyio.ClosedResourceError | anyio.BrokenResourceError:
        return anyio.ClosedResourceError() if self._socket.fileno() < 0 else anyio.BrokenResourceError()


async def connect_unix(path: str) -> SocketStream:
    """A connection to the socket `path`.

    Raises:
        OSError
    """
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        while True:
            try:
                connecting.connect(path)
                return SocketStream(connecting)
            except BlockingIOError:
                await anyio.sleep(RETRY_S)
    except BaseException:
        connecting.close()
        raise
