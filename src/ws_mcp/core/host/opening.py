"""Opens what a caller named on this machine: below a root of the operator, without links, nowhere that is closed.

Each part of the path is opened from the descriptor of the one before, so that nobody can swap a directory for a link
between the check and the use. Blocking: callers run it in a worker thread.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError, one_line
from ws_mcp.core.host.closed import (
    Identity,
    has_socket_with_two_names,
    identities_above,
    identity_of,
    is_named_closed,
    is_seen_closed,
)
from ws_mcp.core.host.model import ROOT_FLAG, HostRules

PATH_BYTES = 4096
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO that is swapped in must not hold the open up.
FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open directory or regular file: the descriptor is valid inside the block only."""

    descriptor: int
    path: str  # without links
    status: os.stat_result


@contextmanager
def opened(path: str, rules: HostRules, *, what: str, is_file: bool = False) -> Generator[Opened]:
    """Open the absolute `path`; `what` is what the caller calls it ("folder").

    Raises:
        InvalidArgumentError: the path cannot be used (not absolute, a link in it, missing, another kind of thing).
        ForbiddenError: it is outside of every root, closed, or others could swap it.
    """
    given = _normal(path, what)
    real_root, parts = _root_of(given, rules, what)
    real = str(PurePosixPath(real_root, *parts))
    if is_file and not parts:
        raise InvalidArgumentError(f"{what} {given!r} is a directory; name a file in it")
    if is_named_closed(real, rules.closed):
        raise _closed(given, what)
    descriptor = _open(real_root, DIRECTORY, None, given, what)
    try:
        seen = [*identities_above(real_root), identity_of(os.fstat(descriptor))]
        shown = given[: len(given) - sum(len(part) + 1 for part in parts)]
        for at, part in enumerate(parts):
            flags = FILE if is_file and at == len(parts) - 1 else DIRECTORY
            descriptor = _step(descriptor, part, flags, shown, what)
            shown = f"{shown}/{part}"
            seen.append(identity_of(os.fstat(descriptor)))
        _check_identities(seen, given, rules, what)
        yield Opened(descriptor=descriptor, path=real, status=os.fstat(descriptor))
    finally:
        os.close(descriptor)


def read_small(directory: int, name: str, limit_bytes: int = 4096) -> str | None:
    """The text of a small regular file in an open directory; None when there is no such file."""
    with suppress(OSError, UnicodeDecodeError):
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            return None
        with open(os.open(name, FILE, dir_fd=directory), "rb") as file:  # noqa: PTH123 - a descriptor has no path
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                content = file.read(limit_bytes + 1)
                return content.decode() if len(content) <= limit_bytes else None
    return None


def _normal(path: str, what: str) -> str:
    shown = repr(one_line(path[:200]))
    if not path.startswith("/"):
        raise InvalidArgumentError(f"{what} {shown} is not an absolute path; give one as in /home/me/project")
    parts = path.strip("/").split("/")
    if any(part in (".", "..") for part in parts) or ("" in parts and path.strip("/")):
        raise InvalidArgumentError(f"{what} {shown} has '.', '..' or '//' in it; give the plain path")
    if not path.isprintable():
        raise InvalidArgumentError(f"{what} {shown} has characters that cannot be shown; rename it")
    if len(path.encode()) > PATH_BYTES:
        raise InvalidArgumentError(f"{what} {shown} is too long: at most {PATH_BYTES} bytes")
    return "/" + path.strip("/")


def _root_of(given: str, rules: HostRules, what: str) -> tuple[str, tuple[str, ...]]:
    """The real path of the root that `given` is below, and the parts below it."""
    if not rules.roots:
        raise ForbiddenError(
            f"this server gives workspaces no {what} of its machine; the operator allows it with {ROOT_FLAG} DIRECTORY"
        )
    path = PurePosixPath(given)
    for root in sorted(rules.roots, key=lambda root: -len(root.parts)):
        real = os.path.realpath(root)
        for text in (str(root), real):
            if path.is_relative_to(text):
                return real, path.relative_to(text).parts
    raise ForbiddenError(
        f"{what} {given!r} is not below a directory that the operator allows; {ROOT_FLAG} DIRECTORY would"
    )


def _check_identities(seen: list[Identity], given: str, rules: HostRules, what: str) -> None:
    *above, own = seen
    if is_seen_closed(above, own, rules.closed):
        raise _closed(given, what)
    if has_socket_with_two_names(rules.closed):
        raise ForbiddenError(
            f"{what} {given!r} may hold a second name of a socket that no workspace may have (the engine's, or one of "
            "ws-mcp), which has one; the operator has to remove that hard link"
        )


def _closed(given: str, what: str) -> ForbiddenError:
    return ForbiddenError(
        f"{what} {given!r} holds, or is in, what no workspace may have (system, engine or ws-mcp's own files), "
        "whatever the operator allows; choose another"
    )


def _step(parent: int, part: str, flags: int, shown: str, what: str) -> int:
    """Open `part` in `parent`, which is closed then."""
    path = f"{shown}/{part}"
    above = os.fstat(parent)
    try:
        found = os.stat(part, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        raise _unusable(error, path, what) from error
    if stat.S_ISLNK(found.st_mode):
        raise InvalidArgumentError(f"{what} {path!r} is a link; give the path that it leads to")
    if not (stat.S_ISREG(found.st_mode) if flags is FILE else stat.S_ISDIR(found.st_mode)):
        kind = "regular file" if flags is FILE else "directory"
        raise InvalidArgumentError(f"{what} {path!r} is not a {kind}; give one")
    child = _open(part, flags, parent, path, what)
    status = os.fstat(child)
    weakness = weakness_of(above, status, os.geteuid())
    if not weakness and stat.S_IFMT(status.st_mode) != stat.S_IFMT(found.st_mode):
        weakness = "was swapped just now"
    if weakness:
        os.close(child)
        raise ForbiddenError(f"{what} {path!r} could be swapped: {shown or '/'!r} {weakness}")
    os.close(parent)
    return child


def weakness_of(directory: os.stat_result, child: os.stat_result, user: int) -> str:
    """How others than `user` and root could put something else in the place of `child` in `directory`; "" if none."""
    trusted = (0, user)
    if directory.st_uid not in trusted:
        return f"belongs to another user; start ws-mcp as the user with the number {directory.st_uid}"
    group_writes = directory.st_mode & stat.S_IWGRP and not _is_own_group(directory.st_gid, user)
    is_shared = directory.st_mode & stat.S_IWOTH or group_writes
    # In a sticky directory only the owner of a thing may rename it.
    if is_shared and not (directory.st_mode & stat.S_ISVTX and child.st_uid in trusted):
        return "can be written by others; take that away with chmod go-w"
    return ""


def _is_own_group(group: int, user: int) -> bool:
    """Whether it is the group that a system makes for one user alone (umask 002 then lets that group write)."""
    with suppress(KeyError):
        person, found = pwd.getpwuid(user), grp.getgrgid(group)
        return person.pw_gid == group and found.gr_name == person.pw_name and set(found.gr_mem) <= {person.pw_name}
    return False


def _open(name: str, flags: int, parent: int | None, path: str, what: str) -> int:
    try:
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        raise _unusable(error, path, what) from error


def _unusable(error: OSError, path: str, what: str) -> InvalidArgumentError:
    if isinstance(error, FileNotFoundError):
        return InvalidArgumentError(f"{what} {path!r} does not exist; make it first")
    if isinstance(error, PermissionError):
        return InvalidArgumentError(f"{what} {path!r} may not be read by ws-mcp; change its permissions")
    return InvalidArgumentError(f"{what} {path!r} cannot be opened: {error.strerror}; give a directory without links")
