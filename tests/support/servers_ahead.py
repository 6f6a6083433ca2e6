"""A program that has loaded what servers need, and becomes one for each that asks: a start takes 50 ms, not 1.4 s.

Started as `servers_ahead.py SOCKET`, it serves until its stdin ends. Who connects (`launch.py`) hands over its stdin,
stdout and stderr, and says what the server is to be: arguments, environment, directory. From the fork on all is as with
`python -m ws_mcp`, or with the program that stands for it (`--program FILE` before its arguments): a process and a
session of its own. The connection tells its pid, and in the end how it ended; when the other end goes before, the
server is killed.
"""

from __future__ import annotations

import array
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

WORD = 4  # bytes of a length, a pid, an exit code
# Whatever a server may load; the first call of one does not wait for it either.
LOADED = ("ws_mcp.over_http", "ws_mcp.oversight", "ws_mcp.metrics", "ws_mcp.policy", "docker", "docker.api", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a server is to be."""

    argv: list[str]
    environment: dict[str, str]
    directory: str
    pid_file: str
    descriptors: list[int]


def received(connection: socket.socket) -> Wish:
    """A request, with the three descriptors that come with its first byte."""
    found = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(3 * found.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(content)
    while len(data) < WORD or len(data) < WORD + int.from_bytes(data[:WORD]):
        if not (more := connection.recv(65536)):
            raise EOFError
        data += more
    said = json.loads(data[WORD:])
    return Wish(**said, descriptors=list(found))


def become(wish: Wish) -> NoReturn:
    """Be that server."""
    code = 70
    try:
        os.setsid()
        for target, descriptor in enumerate(wish.descriptors):
            os.dup2(descriptor, target)
        os.closerange(3, 1024)
        Path(wish.pid_file).write_text(str(os.getpid()))
        os.chdir(wish.directory)
        os.environ.clear()
        os.environ.update(wish.environment)
        sys.argv = ["ws-mcp", *wish.argv]
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0, "r"), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        code = _run(wish.argv)
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in here
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _run(argv: list[str]) -> int:
    from ws_mcp.cli import run  # noqa: PLC0415 - loaded long ago

    try:
        if argv[:1] == ["--program"]:
            sys.argv = argv[1:]
            runpy.run_path(argv[1], run_name="__main__")
            return 0
        return run(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def _unheard(_number: int, _frame: object) -> None:
    """A handler there has to be, so that the wake-up descriptor is written to."""


class Ahead:
    """The loop: forks, tells of ends, kills what nobody waits for."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._children: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, _unheard)
        for ready in (listener, self._wake, 0):
            self._selector.register(ready, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until stdin ends."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    self._kill(list(self._children))
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._wake:
                    os.read(self._wake, 4096)
                else:
                    self._left(cast("socket.socket", key.fileobj))
            self._reap()

    def _accept(self) -> None:
        connection = self._listener.accept()[0]
        try:
            wish = received(connection)
        except (EOFError, OSError):
            connection.close()
            return
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            become(wish)
        for descriptor in wish.descriptors:
            os.close(descriptor)
        self._children[child] = connection
        self._selector.register(connection, selectors.EVENT_READ)
        connection.sendall(child.to_bytes(WORD))

    def _left(self, connection: socket.socket) -> None:
        """Nobody waits for this one any more: it is killed, and reaped as any other."""
        self._selector.unregister(connection)
        self._kill([child for child, its in self._children.items() if its is connection])

    def _kill(self, children: list[int]) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)  # it is ours and not reaped, so this is its pid

    def _reap(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            connection = self._children.pop(child)
            if connection in self._selector.get_map():
                self._selector.unregister(connection)
            with suppress(OSError):
                connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(WORD, signed=True))
            connection.close()


def main(path: str) -> None:
    """Load, then serve at the socket `path`."""
    for name in LOADED:
        __import__(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    gc.collect()
    gc.freeze()  # what is there stays: collecting it in each child would copy it
    listener.listen(64)
    print("ready", flush=True)
    Ahead(listener).serve()


if __name__ == "__main__":
    # As with `python -m`, without what is beside this file.
    sys.path[:] = [entry for entry in sys.path if Path(entry) != Path(__file__).parent]
    main(sys.argv[1])
