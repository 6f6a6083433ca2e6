"""A root directory of this machine with the ways of a `FakeDisk`, for what a real execd serves."""

from __future__ import annotations

import os
from pathlib import Path


class RealDisk:
    """A new directory below `base`; beside it is what no request may reach."""

    def __init__(self, base: Path) -> None:
        self._top = base / "root"
        self._top.mkdir()
        self.root = str(self._top)

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """A file below the root, and the directories above it; `..` leads out."""
        file = self._top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)

    def make_directory(self, path: str) -> None:
        (self._top / path).mkdir(parents=True)

    def make_link(self, path: str, target: str) -> None:
        (self._top / path).symlink_to(target)

    def make_pipe(self, path: str) -> None:
        os.mkfifo(self._top / path)

    def content(self, path: str) -> bytes:
        return (self._top / path).read_bytes()

    def names(self, path: str) -> list[str]:
        """What is in a directory."""
        return sorted(entry.name for entry in (self._top / path).iterdir())
