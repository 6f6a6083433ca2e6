"""Folders and files of this machine that a workspace may be given, as values (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT_FLAG = "--root"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """What the operator lets workspaces have of this machine."""

    roots: tuple[Path, ...] = ()  # only what is below one of them; none: nothing
    # Never these, what is in them, or what they are in: the state directory, the engine's socket and data.
    closed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFolder:
    """The repository that a git worktree belongs to, or why git will not work where only the worktree is mounted."""

    common_directory: str = ""
    worktree: str = ""  # its name in `<common_directory>/worktrees`
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFolder:
    """A directory that was opened without following a link. An engine finds it by name again: compare it after."""

    path: str  # without links, also where the operator's root has some
    device: int
    inode: int
    git: GitFolder | None = None  # only for a worktree, whose `.git` is a file
    mounts_below: tuple[str, ...] = ()  # file systems mounted inside, relative: they are not seen in a workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A regular file that was opened without following a link."""

    path: str
    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was found at a path that is mounted at `target`: what a container should have there."""

    target: str
    device: int
    inode: int
    is_directory: bool
