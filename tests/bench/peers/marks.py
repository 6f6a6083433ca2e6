"""Processes of a step, found by /proc: each has a number in its command line that nobody else has."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

SECONDS = 90_000_000  # what is marked sleeps for three years


def new_mark() -> str:
    """A number of seconds that nobody else sleeps."""
    return str(SECONDS + secrets.randbelow(9_999_999))


def alive(mark: str) -> list[int]:
    """Processes that have it in their command line; a zombie has none."""
    return [pid for pid, line in _command_lines() if mark in line and pid != os.getpid()]


def end_all(mark: str) -> None:
    """KILL what is left."""
    for pid in alive(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def left_after(mark: str, seconds: float) -> int:
    """How many live on when that time is over, or none as soon as there is none."""
    until = time.monotonic() + seconds
    while (count := len(alive(mark))) and time.monotonic() < until:
        time.sleep(0.05)
    return count


def forebear(pid: int, word: str) -> int | None:
    """The nearest process above with a word in its command line."""
    lines = dict(_command_lines())
    while pid > 1:
        pid = _parent(pid)
        if word in lines.get(pid, ""):
            return pid
    return None


def _command_lines() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:  # it ended in the meantime
                continue


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])
