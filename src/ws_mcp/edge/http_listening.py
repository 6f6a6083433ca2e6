"""The socket that HTTP is served on, and which user is at the other end of a unix one."""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.edge.http_choices import HttpChoices


@contextmanager
def listening(choices: HttpChoices) -> Generator[socket.socket]:
    """A socket that listens.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if choices.unix:
        with _unix(Path(choices.unix)) as listener:
            yield listener
        return
    host, port = choices.host, choices.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InvalidArgumentError(f"the address {host!r} cannot be looked up: {error.strerror}") from error
    # Said in full, or asyncio does not switch Nagle's algorithm off, and an answer in two parts takes 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise InvalidArgumentError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
            ) from error
        listener.listen()
        yield listener


@contextmanager
def _unix(path: Path) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            if path.exists() and stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path):
                path.unlink()  # of a server that was killed
            mask = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(mask)
        except OSError as error:
            raise InvalidArgumentError(
                f"cannot listen at the socket {path}: {error.strerror or error}; give another --unix"
            ) from error
        listener.listen()
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end of a unix socket, as the kernel knows it."""
    if sys.platform == "darwin":
        size = struct.calcsize("IIh16I")  # struct xucred: version, uid, groups; LOCAL_PEERCRED is 1 at level 0
        return int(struct.unpack("IIh16I", connection.getsockopt(0, 1, size))[1])
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
