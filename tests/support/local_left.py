"""The daemons of local workspaces that outlive their tests, as they outlive their servers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def end_left(below: Path) -> int:
    """End by force those whose workspace is below a directory; returns how many there were."""
    left = list(_of(below))
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def _of(below: Path) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                is_ours = (entry / "comm").read_text().startswith("execd") and f" {below}/" in f" {_mounted(entry)}"
                if is_ours:
                    yield int(entry.name)


def _mounted(entry: Path) -> str:
    """What of the host is in its sandbox, one after the other."""
    return " ".join(line.split()[3] for line in (entry / "mountinfo").read_text().splitlines())
