"""The audit file of one server process: appended to, begun anew when it is large, never changed.

Lines are written into room of zeros that was made before: a sync that need not make a file longer is quicker, and a
full disk is noticed before a line is written. What went wrong with a line is cut off again. After a failure that leaves
doubt about what is on the disk the next line goes into another file, which says so.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.audit.chain import START, Fields, sealed
from ws_mcp.core.clock import Now
from ws_mcp.core.errors import StateError, unwritten

DIRECTORY = "audit"
SUFFIX = ".jsonl"
MAX_BYTES = 16 << 20  # then the next file begins: one that a person can still open

CHUNK_BYTES = 64 << 10  # of room that is made at once
ROOM_BYTES = 1 << 20  # less than that is free: nothing will be written soon


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The file before, and how it ended."""

    file: str
    lines: int
    seal: str


class AuditFile:
    """Writes lines. Belongs to the event loop; only the sync may be elsewhere."""

    def __init__(self, directory: Path, key: bytes, now: Now, *, max_bytes: int = MAX_BYTES) -> None:
        self.directory = self._directory = directory
        self._key = key
        self._now = now
        self._max_bytes = max_bytes
        self._name = f"{now():%Y%m%dT%H%M%SZ}-{os.getpid()}-{secrets.token_hex(4)}"
        self._number = 0
        self._handle: int | None = None
        self._before: Ended | None = None
        self._seal, self._lines, self._size, self._room = START, 0, 0, 0

    def append(self, fields: Fields) -> int:
        """Write a line; returns its number in the file.

        Raises:
            OSError: it is not there.
        """
        if self._handle is not None and self._size >= self._max_bytes:
            self._finish("rotate")
        if self._handle is None:
            self._begin()
        return self._write(fields)

    @property
    def name(self) -> str:
        """The file that is written now."""
        return f"{self._name}-{self._number:04}{SUFFIX}"

    def copy_of_handle(self) -> int | None:
        """Another descriptor of what was written last, for who syncs it and closes it; None: nothing is open."""
        return None if self._handle is None else os.dup(self._handle)

    def doubt(self) -> None:
        """A sync failed: what was written may not be on the disk, so the next line begins another file."""
        if self._handle is not None:
            self._abandon()

    def obstacle(self) -> str:
        """Why the next line cannot be written, as far as that can be seen; or ""."""
        try:
            found = os.statvfs(self._directory)
        except OSError as error:
            return error.strerror or "unknown"
        if found.f_bavail * found.f_frsize < ROOM_BYTES:
            return "almost no space is left"
        return "" if os.access(self._directory, os.W_OK) else "the directory cannot be written"

    def close(self) -> None:
        """Say in a last line that nothing is missing after it."""
        if self._handle is not None:
            with suppress(OSError):
                self._finish("close")

    def _begin(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._number += 1
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(self._directory / self.name, flags, 0o600)
        self._seal, self._lines, self._size, self._room = START, 0, 0, 0
        # Whoever verifies sees by the lock that the file has no last line yet for a good reason.
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first: dict[str, object] = {"kind": "open", "pid": os.getpid()}
        if self._before is not None:
            before = self._before
            self._seal = before.seal
            first["after"] = {"file": before.file, "lines": before.lines, "hash": before.seal}
        try:
            self._write(first)
        except OSError:
            (self._directory / self.name).unlink(missing_ok=True)
            self._drop()
            raise

    def _write(self, fields: Fields) -> int:
        assert self._handle is not None
        stamped = {"seq": self._lines + 1, "ts": self._now().isoformat(timespec="microseconds"), **fields}
        line, seal = sealed(self._key, self._seal, stamped)
        try:
            if self._size + len(line) > self._room:
                self._room += _written(self._handle, bytes(CHUNK_BYTES), self._room)
            _written(self._handle, line, self._size)
        except OSError:
            self._cut_off()
            raise
        self._seal, self._lines, self._size = seal, self._lines + 1, self._size + len(line)
        return self._lines

    def _cut_off(self) -> None:
        assert self._handle is not None
        try:
            os.ftruncate(self._handle, self._size)
            self._room = self._size
        except OSError:
            self._abandon()

    def _finish(self, kind: str) -> None:
        assert self._handle is not None
        try:
            self._write({"kind": kind})
            os.ftruncate(self._handle, self._size)
            datasync(self._handle)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        self._before = Ended(file=self.name, lines=self._lines, seal=self._seal)
        self._drop()

    def _drop(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def prepared(state: Path) -> Path:
    """The directory of audit files in a state directory.

    Raises:
        StateError: it cannot be made, or others could write there.
    """
    directory = state / DIRECTORY
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        said = f"the audit directory cannot be made ({error.strerror}); see `ws-mcp doctor`"
        raise unwritten(error, said) from error
    if found.st_mode & 0o077 or found.st_uid != os.getuid():
        raise StateError("the audit directory is not yours alone; `chmod 700` it, after a look at who wrote there")
    return directory


def _written(handle: int, content: bytes, offset: int) -> int:
    rest = memoryview(content)
    while rest:  # where there is room for a part, that is written, and the next call says why not more
        rest = rest[os.pwrite(handle, rest, offset + len(content) - len(rest)) :]
    return len(content)


def datasync(handle: int) -> None:
    """What was written to it is on the disk when this returns.

    Raises:
        OSError
    """
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(handle)
