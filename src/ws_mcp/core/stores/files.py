"""Locks of this machine: files of the state directory, held by a descriptor. A server that dies lets go."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio

from ws_mcp.core.errors import StateError, unwritten
from ws_mcp.core.stores.lock import Lock

LOCK_POLL_S = 0.02


class FileLocks:
    """The locks below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @asynccontextmanager
    async def lock(self, name: str, within_s: float = float("inf")) -> AsyncGenerator[Lock]:
        """Hold it, waiting for who does.

        Raises:
            StateError: the lock cannot be opened, or another server held it for `within_s` seconds.
        """
        with _opened(self._directory / name) as handle:
            with anyio.move_on_after(within_s) as patience:
                while not _try_lock(handle):  # noqa: ASYNC110 - another process holds it: no event can tell
                    await anyio.sleep(LOCK_POLL_S)
            if patience.cancelled_caught:
                raise StateError(
                    f"another ws-mcp has held the state directory for {within_s:g} s; end it, then try again"
                )
            yield Lock(name, handle)

    @contextmanager
    def lock_if_free(self, name: str) -> Generator[Lock | None]:
        """Hold it if nobody does."""
        with _opened(self._directory / name) as handle:
            yield Lock(name, handle) if _try_lock(handle) else None

    def is_held(self, name: str) -> bool:
        """Whether somebody holds it at this moment."""
        with _opened(self._directory / name) as handle:
            return not _try_lock(handle)

    def clear(self, prefix: str) -> int:
        """Clear away the files of names with this beginning that nobody will hold again; returns how many are held."""
        held = 0
        for file in self._directory.glob(f"{prefix}*"):
            if self.is_held(file.name):
                held += 1
            else:
                self.remove(file.name)
        return held

    def remove(self, name: str) -> None:
        """Clear away the file of a name that nobody will hold again, unless the disk takes nothing now."""
        with suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Generator[int]:
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        said = f"a lock of the state directory cannot be opened ({error.strerror}); see `ws-mcp doctor`"
        raise unwritten(error, said) from error
    try:
        yield handle
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
