"""Reads the files of definitions, below the operator's roots only, and no file twice that did not change.

What a file came to is kept until its size, times or inode are others. Blocking, and used by one thread at a time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TypeVar, cast

from ws_mcp.core.devcontainers.canonical import DIGITS
from ws_mcp.core.devcontainers.definition import shown
from ws_mcp.core.devcontainers.jsonc import unreadable
from ws_mcp.core.host.closed import SYSTEM
from ws_mcp.core.host.model import HostRules
from ws_mcp.core.host.opening import FILE

T = TypeVar("T")
KEPT = 50_000  # results; about 300 bytes each
TEXT_BYTES = 1 << 20  # of a file that is understood; nobody writes a larger one
BLOCK_BYTES = 1 << 20
# Within a tick of the file system's clock a file may change without its times: look again until that is past.
SETTLED_NS = 2_000_000_000

Signature = tuple[int, int, int, int, int]


def signature_of(status: os.stat_result) -> Signature:
    """What changes when a file may have changed; ctime also moves where somebody sets mtime back."""
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns, status.st_dev


class OutsideError(Exception):
    """The path leads out of the operator's roots: it is not read, and named as not compared."""


@dataclass(slots=True)
class Look:
    """One look at a dev container: which paths it went to, whether it followed links there, and the newest file."""

    folder: str
    paths: dict[str, bool] = field(default_factory=dict[str, bool])
    newest: str = ""
    newest_ns: int = 0

    @property
    def newest_at(self) -> datetime | None:
        """When the newest file was changed."""
        return datetime.fromtimestamp(self.newest_ns / 1e9, UTC) if self.newest else None

    def saw(self, path: str, status: os.stat_result | None, *, follows: bool) -> None:
        """Note a path and how it is; None: it is not there."""
        self.paths[path] = follows
        if status and status.st_mtime_ns > self.newest_ns and not stat.S_ISDIR(status.st_mode):
            self.newest, self.newest_ns = shown(path, self.folder), status.st_mtime_ns

    def stamp(self) -> str:
        """A text that is another one when one of the paths may be another."""
        seen = hashlib.sha256()
        for path, follows in self.paths.items():
            try:
                signature: object = signature_of(Path(path).stat() if follows else os.lstat(path))
            except OSError as error:
                signature = error.errno
            seen.update(repr(signature).encode())
        return seen.hexdigest()[:DIGITS]


class Inputs:
    """The files, and what they came to."""

    def __init__(self, rules: HostRules, now_ns: Callable[[], int] = time.time_ns, kept: int = KEPT) -> None:
        self._rules = rules
        self._now_ns = now_ns
        self._kept_at_most = kept
        self._kept: dict[tuple[str, object], tuple[Signature, object]] = {}
        self._roots: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def begin(self, known: Collection[str] = ()) -> None:
        """Look again where the roots are; before each look. `known`: more of them, which nobody has to look for."""
        closed = self._roots[1] or tuple(os.path.realpath(path) for path in (*SYSTEM, *self._rules.closed))
        self._roots = (*(os.path.realpath(root) for root in self._rules.roots), *known), closed

    def made(self, path: str, look: Look, make: Callable[[str, str], T]) -> T | None:
        """What `make` makes of the text of a file that a definition names, and its name; None: it is not there.

        Raises:
            OutsideError
            UnreadableDefinitionError: it is no text file that may be read, or `make` says so.
        """
        self.check(path)
        try:
            status = Path(path).stat()
        except OSError as error:
            look.saw(path, None, follows=True)
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return None
            raise unreadable(shown(path, look.folder), _reason(error)) from error
        look.saw(path, status, follows=True)
        return cast("T", self._kept_or(path, make, status, lambda: self._make(path, status, look, make)))

    def digest(self, path: str, status: os.stat_result) -> str:
        """Of the content of a regular file, which is no link."""
        return cast("str", self._kept_or(path, "content", status, lambda: _content_digest(path)))

    def check(self, path: str) -> None:
        """That a path is below a root, as far as its text says.

        Raises:
            OutsideError
        """
        roots, closed = self._roots
        if not _is_below(path, roots) or _is_below(path, closed):
            raise OutsideError(path)

    def real(self, path: str) -> str:
        """The path without links.

        Raises:
            OutsideError
        """
        real = os.path.realpath(path)
        self.check(real)
        return real

    def _make(self, path: str, status: os.stat_result, look: Look, make: Callable[[str, str], T]) -> T:
        real, file = self.real(path), shown(path, look.folder)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise unreadable(file, f"it is {kind}, not a text file")
        if status.st_size > TEXT_BYTES:
            raise unreadable(file, f"it is larger than {TEXT_BYTES >> 20} MiB")
        try:
            return make(b"".join(_blocks(real)).decode(), file)
        except OSError as error:
            raise unreadable(file, _reason(error)) from error
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
            raise unreadable(file, "it is not UTF-8 text", line, column) from error

    def _kept_or(self, path: str, kind: object, status: os.stat_result, make: Callable[[], object]) -> object:
        key, signature = (path, kind), signature_of(status)
        kept = self._kept.pop(key, None)
        if kept is None or kept[0] != signature:
            began = self._now_ns()
            kept = signature, make()
            if status.st_ctime_ns > began - SETTLED_NS:
                return kept[1]
        self._kept[key] = kept  # as the last one used
        if len(self._kept) > self._kept_at_most:
            del self._kept[next(iter(self._kept))]
        return kept[1]


def _is_below(path: str, directories: tuple[str, ...]) -> bool:
    return any(path == directory or path.startswith(directory.rstrip("/") + "/") for directory in directories)


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ws-mcp may not read it"
    return f"it cannot be read ({error.strerror})"


def _blocks(path: str) -> Iterator[bytes]:
    # Without following a link, and without waiting for a FIFO that was put in its place.
    with open(os.open(path, FILE), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, f"{PurePosixPath(path).name} is no regular file")
        while block := file.read(BLOCK_BYTES):
            yield block


def _content_digest(path: str) -> str:
    """An unreadable file has a digest, too: an engine cannot copy such a file, and a project may well have one."""
    seen = hashlib.sha256()
    try:
        for block in _blocks(path):
            seen.update(block)
    except OSError:
        return "unreadable"
    return seen.hexdigest()[:DIGITS]
