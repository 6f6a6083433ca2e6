"""What the tests of host folders stand on: rules for a directory, repositories, a sandbox to look from inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from ws_mcp.core.engine.model import BindMount
from ws_mcp.core.host.model import HostRules

OPEN = """
import sys
from pathlib import Path
from ws_mcp.core.errors import WsError
from ws_mcp.core.host.folders import open_folder
from ws_mcp.core.host.model import HostRules
folder, root, *closed = sys.argv[1:]
try:
    print(open_folder(folder, HostRules(roots=(Path(root),), closed=tuple(map(Path, closed)))))
except WsError as error:
    print(error)
"""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
GIT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def allowing(*roots: Path, closed: Sequence[Path] = ()) -> HostRules:
    """An operator who allows what is below these."""
    return HostRules(roots=roots, closed=tuple(closed))


def git(directory: Path, *words: str) -> str:
    """What git says on this machine."""
    done = subprocess.run(["git", *words], cwd=directory, env=GIT, capture_output=True, text=True, check=True)
    return done.stdout


def repository(directory: Path, *worktrees: Path) -> Path:
    """A repository with one commit and these worktrees, each on a branch of its own name."""
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    (directory / "hello").write_text("hello\n")
    git(directory, "add", "hello")
    git(directory, "commit", "-q", "-m", "first")
    for worktree in worktrees:
        git(directory, "worktree", "add", "-q", "-b", worktree.name, str(worktree))
    return directory


def need_bubblewrap() -> None:
    """Skip where there is none, fail in CI."""
    if shutil.which("bwrap") is None:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail("bubblewrap is not installed")
        pytest.skip("bubblewrap is not installed")


def sandbox(mounts: Sequence[BindMount], environment: Mapping[str, str]) -> list[str]:
    """The words that run a command where only the system and `mounts` are, in /workspace, as in a container."""
    words = ["bwrap", "--unshare-pid", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--clearenv"]
    for path in SYSTEM:
        words += ["--ro-bind-try", path, path]
    for mount in mounts:
        words += ["--ro-bind" if mount.is_read_only else "--bind", mount.source, mount.target]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    return [*words, "--chdir", "/workspace", "--die-with-parent"]


def said_in(ways: Sequence[str], folder: str, *rules: str) -> str:
    """What `open_folder` says of a folder to a process that bubblewrap starts with these `ways`.

    `rules` are the root, and then what is closed.
    """
    need_bubblewrap()
    words = ["bwrap", "--dev-bind", "/", "/", *ways, sys.executable, "-c", OPEN, folder, *rules]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.rstrip("\n")


@contextmanager
def swapping(swap: Callable[[], None]) -> Generator[None]:
    """Call `swap` again and again in another thread until the block ends; both get many turns meanwhile."""
    stop, began = Event(), Event()

    def race() -> None:
        while not stop.is_set():
            swap()
            began.set()

    racer = Thread(target=race)
    turn_s = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    racer.start()
    try:
        assert began.wait(5)
        yield
    finally:
        stop.set()
        racer.join()
        sys.setswitchinterval(turn_s)
