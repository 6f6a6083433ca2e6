"""What a program writes, in a file without a name: so that it can go on when nobody reads any more.

A pipe whose reader died kills the program at its next word. The file is gone with the last who has it open.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

BLOCK_BYTES = 1 << 16


class Spool:
    """One output: `file` is what the program is given, `read` hands on what it wrote since the last time."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self._at = 0

    @property
    def size_bytes(self) -> int:
        """How much was written."""
        return os.fstat(self.file.fileno()).st_size

    def read(self) -> bytes:
        """The next block, empty when all was read; the place where the program writes is not moved by that."""
        if self.size_bytes < self._at:
            self._at = 0  # somebody opened /dev/stderr anew, which cuts a file off
        block = os.pread(self.file.fileno(), BLOCK_BYTES, self._at)
        self._at += len(block)
        return block

    def end(self, limit_bytes: int) -> bytes:
        """The last of it."""
        return os.pread(self.file.fileno(), limit_bytes, max(self.size_bytes - limit_bytes, 0))


@contextmanager
def open_spool() -> Generator[Spool]:
    """Have one, in the directory for temporary files."""
    with tempfile.TemporaryFile(prefix="ws-mcp-", buffering=0) as file:
        # Several programs write to it: each at its end, not where it believes that this is.
        fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
        yield Spool(file)
