"""A lane: a workspace on a git worktree of the host, with worker programs of the host mounted read-only (pure).

A worktree's `.git` file names its repository by an absolute path, so git works inside only where that path leads to
the same. With write access the other worktrees of the repository are read-only: they do not exist inside, and a
`git worktree prune` there would take them for deleted.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import PurePosixPath

from ws_mcp.core.engine.model import BindMount
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.model import HostFile, HostFolder
from ws_mcp.core.workspaces.mounts import WORKSPACE, Access

CLOSED_TARGETS = (WORKSPACE, "/configs", "/.ws-mcp", "/dev", "/proc", "/sys")
BINARIES = 16
TARGET_BYTES = 1024
# Git refuses a repository that belongs to another user than its own, as that of the host mostly does in a container.
GIT_ENVIRONMENT = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}


def plan_git(folder: HostFolder, access: Access) -> tuple[tuple[BindMount, ...], str]:
    """The mounts that git needs besides /workspace, or a sentence that says why it will not work inside."""
    git = folder.git
    if git is None:
        return (), ""
    why = git.reason or _why_not_there(git.common_directory) or _why_not_there(folder.path)
    if why:
        return (), f"git will not work inside: {why}"
    if access is Access.READ_ONLY:
        return (_same_path(git.common_directory, is_read_only=True),), ""
    worktrees = f"{git.common_directory}/worktrees"
    return (
        _same_path(git.common_directory),
        _same_path(worktrees, is_read_only=True),
        _same_path(f"{worktrees}/{git.worktree}"),
        # There, too, where the repository believes it to be: for `git worktree prune` it is not gone then.
        _same_path(folder.path),
    ), ""


def plan_binaries(binaries: Mapping[str, HostFile], taken: tuple[BindMount, ...] = ()) -> tuple[BindMount, ...]:
    """Read-only mounts of single files, by where they are inside; `taken` are mounts that stand already.

    Raises:
        InvalidArgumentError: a target cannot be used.
    """
    check_targets(binaries, taken)
    return tuple(
        BindMount(source=file.path, target=target, is_read_only=True) for target, file in sorted(binaries.items())
    )


def check_targets(targets: Mapping[str, object], taken: tuple[BindMount, ...] = ()) -> None:
    """Whether files can be mounted at these paths; said before a file is opened.

    Raises:
        InvalidArgumentError
    """
    if len(targets) > BINARIES:
        raise InvalidArgumentError(f"{len(targets)} files are too many to mount: at most {BINARIES}")
    for target in targets:
        why = _why_no_target(target)
        others = (*(other for other in targets if other != target), *(mount.target for mount in taken))
        clash = next((other for other in others if _overlap(target, other)), "")
        if not why and clash:
            why = f"it is, holds or is in {clash!r}, where something else is mounted"
        if why:
            raise InvalidArgumentError(f"a file cannot be mounted at {target[:80]!a}: {why}")


def _why_no_target(target: str) -> str:
    if not target.startswith("/") or posixpath.normpath(target) != target or target.startswith("//"):
        return "the target is a plain absolute path, as in /opt/worker"
    if not target.isprintable() or len(target.encode()) > TARGET_BYTES:
        return f"the target has printable characters only, and at most {TARGET_BYTES} bytes"
    return _why_not_there(target)


def _why_not_there(target: str) -> str:
    if any(_overlap(target, closed) for closed in CLOSED_TARGETS):
        return f"{target!r} is, holds or is in one of {', '.join(CLOSED_TARGETS)}, which are taken inside"
    return ""


def _overlap(one: str, other: str) -> bool:
    return PurePosixPath(one).is_relative_to(other) or PurePosixPath(other).is_relative_to(one)


def _same_path(path: str, *, is_read_only: bool = False) -> BindMount:
    return BindMount(source=path, target=path, is_read_only=is_read_only)
