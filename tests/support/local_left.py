"""The daemons of local workspaces that run on this machine; some outlive their tests, as they outlive their servers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def end_left(below: Path) -> int:
    """End by force those whose workspace is below a directory; returns how many there were."""
    left = [pid for pid, entry in daemons() if f" {below}/" in f" {_mounted(entry)}"]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def daemons() -> Iterator[tuple[int, Path]]:
    """All that run: the pid, and what the kernel says of it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and said(entry, "comm").startswith("execd") and "\0serve\0" in said(entry, "cmdline"):
            yield int(entry.name), entry


def said(entry: Path, name: str) -> str:
    """A file of a process; nothing if it ended meanwhile."""
    try:
        return (entry / name).read_text(errors="replace")
    except OSError:
        return ""


def _mounted(entry: Path) -> str:
    """What of the host is in its sandbox, one after the other."""
    return " ".join(line.split()[3] for line in said(entry, "mountinfo").splitlines())
