"""Folders and single files of this machine for a workspace, and whether a container really got the one that was opened.

Blocking: callers run it in a worker thread.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ws_mcp.core.host.model import HostFile, HostFolder, HostRules
from ws_mcp.core.host.opening import opened
from ws_mcp.core.host.worktree import git_of

MOUNTS_NAMED = 8
_ESCAPED = re.compile(r"\\([0-7]{3})")


def open_folder(path: str, rules: HostRules) -> HostFolder:
    """The directory `path`, with what is to be known of it before it is mounted.

    Raises:
        InvalidArgumentError: the path cannot be used.
        ForbiddenError: the operator does not allow it.
    """
    with opened(path, rules, what="folder") as folder:
        return HostFolder(
            path=folder.path,
            device=folder.status.st_dev,
            inode=folder.status.st_ino,
            git=git_of(folder.descriptor, folder.path, rules),
            mounts_below=mounts_below(_mount_table(), folder.path),
        )


def open_file(path: str, rules: HostRules) -> HostFile:
    """The regular file `path`, as a worker's program is.

    Raises:
        InvalidArgumentError: the path cannot be used.
        ForbiddenError: the operator does not allow it.
    """
    with opened(path, rules, what="file", is_file=True) as file:
        return HostFile(path=file.path, device=file.status.st_dev, inode=file.status.st_ino)


def is_in_place(pid: int, target: str, given: HostFolder | HostFile) -> bool | None:
    """Whether the process `pid` of this machine has at `target` what was opened; None: nobody can tell from here.

    Only Linux shows it, and only to who may look into the process (root, for the containers of a rootful engine).
    Source: proc(5), /proc/pid/root. Links in the container are not followed, since they lead through our root.
    """
    if not hasattr(os, "O_PATH"):
        return None
    flags = os.O_PATH | os.O_CLOEXEC
    try:
        descriptor = os.open(f"/proc/{pid}/root", flags | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        for part in PurePosixPath(target).relative_to("/").parts:
            below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        status = os.fstat(descriptor)
    except PermissionError:
        return None
    except OSError:
        return False
    else:
        return not stat.S_ISLNK(status.st_mode) and (status.st_dev, status.st_ino) == (given.device, given.inode)
    finally:
        os.close(descriptor)


def mounts_below(table: str, path: str) -> tuple[str, ...]:
    r"""Where in `path` other file systems are mounted, relative to it and at most a few.

    Source: proc(5), /proc/pid/mountinfo: field 5 is the mount point, with spaces and the like as `\040`.
    """
    found: set[str] = set()
    for line in table.split("\n"):
        fields = line.split(" ")
        point = PurePosixPath(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), fields[4] if len(fields) > 4 else "/"))
        if point != PurePosixPath(path) and point.is_relative_to(path):
            found.add(str(point.relative_to(path)))
    return tuple(sorted(found)[:MOUNTS_NAMED])


def _mount_table() -> str:
    # macOS has no such file, and its engines run in a virtual machine with mounts of their own.
    with suppress(OSError):
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return ""
