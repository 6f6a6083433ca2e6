"""Where the repository of a git worktree is, so that it can be mounted beside the worktree.

The `.git` file of a worktree is written by whoever writes into the folder, a workspace included. So it is believed only
when the repository says the same of the folder: nobody gets another repository mounted by naming it.
"""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import PurePosixPath

from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError, one_line
from ws_mcp.core.host.model import GitFolder, HostRules
from ws_mcp.core.host.opening import opened, read_small

MARK = "gitdir: "


def git_of(folder: int, path: str, rules: HostRules) -> GitFolder | None:
    """What an open folder's `.git` file leads to; None without one: no repository, or one that is in the folder."""
    try:
        kind = os.stat(".git", dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return None
    if stat.S_ISDIR(kind):
        return None
    if stat.S_ISLNK(kind):
        return GitFolder(reason="its .git is a link, which is not followed")
    text = read_small(folder, ".git")
    if text is None or not text.startswith(MARK):
        return GitFolder(reason="its .git file cannot be read")
    return _checked(text.removeprefix(MARK).rstrip("\n"), path, rules)


def _checked(own: str, path: str, rules: HostRules) -> GitFolder:
    """`own` is the worktree's own directory in its repository: `<common>/worktrees/<name>`."""
    if not own.startswith("/"):
        return GitFolder(
            reason="its .git file names the repository by a relative path, which leads elsewhere in a workspace; "
            "for a worktree `git worktree repair --no-relative-paths` changes that"
        )
    common, kind, name = _parts(own)
    if kind != "worktrees" or posixpath.normpath(own) != own:
        return GitFolder(reason="its .git file does not name a worktree of a repository (a submodule has none)")
    try:
        with opened(own, rules, what="git directory") as admin:
            back = (read_small(admin.descriptor, "gitdir") or "").rstrip("\n")
            to_common = (read_small(admin.descriptor, "commondir") or "").rstrip("\n")
        with opened(common, rules, what="git directory") as found:
            is_whole = _is_repository(found.descriptor)
            real = found.path
    except (InvalidArgumentError, ForbiddenError) as error:
        return GitFolder(reason=one_line(str(error)))
    if back != f"{path}/.git":
        return GitFolder(
            reason="the repository does not know this folder as its worktree; `git worktree repair` in it changes that"
        )
    if posixpath.normpath(posixpath.join(own, to_common)) != common or real != common or not is_whole:
        return GitFolder(reason="its repository is not laid out as git does it (HEAD, objects, refs)")
    return GitFolder(common_directory=common, worktree=name)


def _parts(own: str) -> tuple[str, str, str]:
    path = PurePosixPath(own)
    return str(path.parent.parent), path.parent.name, path.name


def _is_repository(directory: int) -> bool:
    def is_directory(name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
        except OSError:
            return False

    return read_small(directory, "HEAD") is not None and is_directory("objects") and is_directory("refs")
