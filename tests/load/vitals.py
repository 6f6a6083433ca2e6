"""What a server costs at a moment, and how that goes on: memory, descriptors, threads, tasks, and what is left."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests.bench.fit import Point, slope
from tests.support.local_left import daemons, said
from tests.support.memory import memory_of

TOLD_S = 30.0
OF_A_PLACE = "--place\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server of `watched`: its pid, its state directory, and the file in which it tells what is in it."""

    pid: int
    state: Path
    told: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What only the server itself knows. `tasks`: by the name of what they run; `pool`: threads that take any work."""

    tasks: dict[str, int]
    objects: int
    pool: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """Counts of one moment. `files`: below the server's own directory for temporary files, and halves in its state.

    `threads`: without those of the pool, which has 40 at most; each goes when others have had the work for 10 s.
    """

    server_bytes: int
    descriptors: int
    threads: int
    tasks: int
    execds: int
    execd_bytes: int
    files: int
    engine: int = 0


def inside(server: Server) -> Inside:
    """Ask a server what is in it.

    Raises:
        TimeoutError
    """
    server.told.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)
    until = time.monotonic() + TOLD_S
    while not server.told.exists():
        if time.monotonic() > until:
            raise TimeoutError("the server does not tell what is in it")
        time.sleep(0.01)
    said = cast("dict[str, object]", json.loads(server.told.read_text()))
    return Inside(
        tasks=cast("dict[str, int]", said["tasks"]),
        objects=cast("int", said["objects"]),
        pool=cast("int", said["pool"]),
    )


def vitals_of(server: Server, engine: Callable[[], int] = int) -> Vitals:
    """As they are now. `engine`: counts what of ours is on an engine."""
    execds, told = execds_of(server.state), inside(server)
    return Vitals(
        server_bytes=memory_of(server.pid),
        descriptors=descriptors_of(server.pid),
        threads=threads_of(server.pid) - told.pool,
        tasks=sum(told.tasks.values()),
        execds=len(execds),
        execd_bytes=sum(_memory_or_nothing(pid) for pid in execds),
        files=sum(1 for _ in _halves(server.state)),
        engine=engine(),
    )


def execds_of(state: Path) -> list[int]:
    """The daemons of the local workspaces of a state directory that run."""
    places = [f"{OF_A_PLACE}{path.name}\0" for path in (state / "local").glob("*")]
    return [pid for pid, entry in daemons() if any(place in said(entry, "cmdline") for place in places)]


def descriptors_of(pid: int) -> int:
    """Open files and sockets."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads_of(pid: int) -> int:
    """Its threads, the first one included."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


@dataclass(slots=True, kw_only=True)
class Course:
    """A figure over the time of a run, or over what was done in it."""

    points: list[Point] = field(default_factory=list[Point])

    def note(self, x: float, y: float) -> None:
        """One more."""
        self.points.append(Point(x, y))

    def slope(self, skipped: float = 0.25) -> float:
        """By least squares, without the first part, in which caches fill; 0 of fewer than three points."""
        kept = self.points[int(len(self.points) * skipped) :]
        return slope(kept) if len(kept) >= 3 else 0.0


def returned(
    look: Callable[[], Vitals], wanted: Callable[[Vitals], Sequence[str]], bound_s: float
) -> tuple[Vitals, Sequence[str]]:
    """Look until nothing is above what is wanted, or the time is over; what was seen last, and what is above."""
    until = time.monotonic() + bound_s
    while (above := wanted(seen := look())) and time.monotonic() < until:
        time.sleep(0.5)
    return seen, above


def above(now: Vitals, before: Vitals) -> list[str]:
    """What there is more of than before, but for memory, which has a slope of its own."""
    names = ("descriptors", "threads", "tasks", "execds", "files", "engine")
    pairs = ((name, getattr(before, name), getattr(now, name)) for name in names)
    return [f"{name}: {old} before, {new} now" for name, old, new in pairs if new > old]


def _halves(state: Path) -> Iterable[Path]:
    """Files that are there only while something is being written."""
    for path in state.rglob("*"):
        if path.suffix in {".new", ".tmp", ".part"} or path.name.startswith(("tmp", ".tmp")):
            yield path


def _memory_or_nothing(pid: int) -> int:
    try:
        return memory_of(pid)
    except (OSError, StopIteration):
        return 0
