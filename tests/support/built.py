"""What `make dist` makes, for tests: built in this process's Python, whose packages have all that it needs."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = f"linux-{'arm64' if platform.machine() in {'aarch64', 'arm64'} else 'amd64'}"


def make_dist(directory: Path, *platforms: str, tree: Path = ROOT) -> list[Path]:
    """Build the sdist and all wheels, or the wheels of `platforms`; returns what was made."""
    argv = (sys.executable, str(tree / "release" / "dist.py"), str(directory), *platforms)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return sorted(directory.iterdir())


def known_to_git(*below: str) -> set[str]:
    """All files of the project that git has or would take, by their paths from its root."""
    argv = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *below)
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in names if name and (ROOT / name).exists()}
