"""Reads a template or a part of a home directory into memory: regular files and directories only, and not too many.

A tree with anything else in it is refused whole, since half a template is worse than none. Directories without files
are left out. Blocking: callers run it in a worker thread.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import NoReturn

from ws_mcp.core.entries import MIB, FileEntry, TreeLimits
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.opening import DIRECTORY, FILE

DEPTH = 16
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_tree(directory: Path, limits: TreeLimits, what: str) -> tuple[FileEntry, ...]:
    """The files below `directory`, sorted; `what` is how the caller knows it ("template 'py'"), never its path.

    Raises:
        InvalidArgumentError: it is not there, something in it is neither file nor directory, or it is too large.
    """
    try:
        descriptor = os.open(directory, DIRECTORY)
    except OSError as error:
        raise InvalidArgumentError(
            f"{what} cannot be read ({error.strerror}); it has to be a directory, not a link"
        ) from error
    walk = _Walk(limits, what)
    walk.read_directory(descriptor, "", 1)
    walk.check_hard_links()
    return tuple(sorted(walk.entries, key=lambda entry: entry.path))


class _Walk:
    """One walk through a tree, and what it counted."""

    def __init__(self, limits: TreeLimits, what: str) -> None:
        self.entries: list[FileEntry] = []
        self._limits = limits
        self._what = what
        self._directories = 0
        self._bytes = 0
        self._names: Counter[tuple[int, int]] = Counter()
        self._hard_linked: dict[tuple[int, int], tuple[str, int]] = {}

    def read_directory(self, descriptor: int, path: str, depth: int) -> None:
        """Read an open directory, which is closed then."""
        try:
            self._directories += 1
            if self._directories > self._limits.files:
                self._refuse(f"has more than {self._limits.files} directories")
            for name in self._names_in(descriptor):
                self._read(descriptor, name, f"{path}/{name}" if path else name, depth)
        finally:
            os.close(descriptor)

    def check_hard_links(self) -> None:
        """Refuse a file that is also somewhere outside of the tree, where it may be anybody's secret."""
        for identity, (path, links) in self._hard_linked.items():
            if links != self._names[identity]:
                self._refuse(f"has the file {path!r}, which is a hard link to one outside of it; copy it instead")

    def _names_in(self, descriptor: int) -> list[str]:
        most = self._limits.files
        with os.scandir(descriptor) as found:
            names = [entry.name for entry in islice(found, 2 * most + 1)]
        if len(names) > 2 * most:
            self._refuse(f"has more than {most} files")
        return sorted(names)

    def _read(self, parent: int, name: str, path: str, depth: int) -> None:
        # Asked before it is opened: to open a device may already do something.
        kind = self._lstat(parent, name, path).st_mode
        if stat.S_ISDIR(kind):
            if depth >= DEPTH:
                self._refuse(f"is nested more than {DEPTH} deep at {path!r}")
            self.read_directory(self._open(parent, name, path, DIRECTORY), path, depth + 1)
            return
        self._check_kind(kind, path)
        descriptor = self._open(parent, name, path, FILE)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            status = os.fstat(descriptor)
            self._check_kind(status.st_mode, path)
            content = b"" if status.st_size > self._limits.file_bytes else file.read(self._limits.file_bytes + 1)
        self._keep(path, status, content)

    def _keep(self, path: str, status: os.stat_result, content: bytes) -> None:
        if len(self.entries) >= self._limits.files:
            self._refuse(f"has more than {self._limits.files} files")
        if max(status.st_size, len(content)) > self._limits.file_bytes:
            self._refuse(f"has the file {path!r} of more than {self._limits.file_bytes // MIB} MiB")
        if len(content) != status.st_size:
            self._refuse(f"changed at {path!r} while it was read; try again")
        self._bytes += len(content)
        if self._bytes > self._limits.total_bytes:
            self._refuse(f"has more than {self._limits.total_bytes // MIB} MiB in all")
        if status.st_nlink > 1:
            identity = status.st_dev, status.st_ino
            self._names[identity] += 1
            self._hard_linked[identity] = (path, status.st_nlink)
        is_executable = bool(status.st_mode & stat.S_IXUSR)
        self.entries.append(FileEntry(path=path, content=content, is_executable=is_executable))

    def _lstat(self, parent: int, name: str, path: str) -> os.stat_result:
        try:
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            self._refuse(f"changed at {path!r} while it was read; try again")

    def _open(self, parent: int, name: str, path: str, flags: int) -> int:
        try:
            return os.open(name, flags, dir_fd=parent)
        except PermissionError:
            self._refuse(f"has {path!r}, which ws-mcp may not read")
        except OSError:
            self._refuse(f"changed at {path!r} while it was read; try again")

    def _check_kind(self, mode: int, path: str) -> None:
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "neither file nor directory")
            self._refuse(f"has {path!r}, which is {kind}; only files and directories are copied")

    def _refuse(self, why: str) -> NoReturn:
        raise InvalidArgumentError(f"{self._what} cannot be used: it {why}")
