"""A disk of a few MiB that a test fills up; only root can mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

DISK_MIB = 6


@contextmanager
def small_disk(directory: Path, *, mib: int = DISK_MIB) -> Generator[None]:
    """A disk of `mib` MiB at a directory, which it makes."""
    directory.mkdir()
    with mounted(directory, f"size={mib}m,mode=700"):
        yield


@contextmanager
def mounted(directory: Path, options: str = "rw") -> Generator[None]:
    """A memory file system at a directory."""
    try:
        subprocess.run(
            ("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)), check=True, capture_output=True
        )
    except subprocess.CalledProcessError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("only root may mount")
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(directory)), check=True, capture_output=True)


def fill(directory: Path) -> Path:
    """Leave no byte free; returns what takes the room."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler
