"""A disk that refuses the Nth change that this process makes below a directory.

A change is a file that is made or opened for writing, renamed, removed, cut or linked, or a directory that is made.
It stands where the interpreter tells auditors what is about to be done, so nothing of ours is replaced. What is written
into a file that is open already is beside it: a disk that is really full is for that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = frozenset({"os.rename", "os.mkdir", "os.remove", "os.link", "os.truncate", "os.rmdir", "os.chmod"})


class FaultyDisk:
    """Counts changes below `top`, and refuses the one with the number `nth` (from 1; 0: none) with `error`."""

    def __init__(self, top: Path, nth: int, error: int) -> None:
        self._top = f"{top}{os.sep}"
        self._nth = nth
        self._error = error
        self.seen = 0

    @property
    def has_refused(self) -> bool:
        return 0 < self._nth <= self.seen

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """One thing that is about to be done."""
        is_change = event in CHANGES
        if event == "open":
            is_change = isinstance(args[2], int) and bool(args[2] & WRITES)
        if is_change and isinstance(args[0], str | os.PathLike) and os.fspath(args[0]).startswith(self._top):
            self.seen += 1
            if self.seen == self._nth:
                raise OSError(self._error, os.strerror(self._error))


_disk: FaultyDisk | None = None


def _hear(event: str, args: tuple[object, ...]) -> None:
    if _disk is not None:
        _disk.hear(event, args)


class _Auditor:
    is_there = False


@contextmanager
def faulty_disk(top: Path, nth: int, error: int) -> Generator[FaultyDisk]:
    """Let the disk below `top` refuse one change as long as the block runs."""
    global _disk  # noqa: PLW0603 - an auditor cannot be taken away again
    if not _Auditor.is_there:
        sys.addaudithook(_hear)
        _Auditor.is_there = True
    _disk = FaultyDisk(top, nth, error)
    try:
        yield _disk
    finally:
        _disk = None
