"""Since when nothing goes on in a workspace, and whether it is to be stopped for that (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What an execd says. `running`: processes, and those that ended ones left behind; `last_at`: a start or end."""

    boot: str
    running: int
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing has gone on since this moment of the monotonic clock, in this boot of its execd."""

    boot: str
    since: float


def idle_of(
    before: Idle | None, activity: Activity | None, *, is_busy: bool, now: float, wall: datetime
) -> Idle | None:
    """How it stands now; None: something goes on, or nobody knows.

    What an execd says of its own clock can only shorten the time: the clock of another machine may be wrong.
    """
    if activity is None or activity.running or is_busy:
        return None
    since = before.since if before is not None and before.boot == activity.boot else now
    if activity.last_at is not None:
        ago_s = max(0.0, (wall - activity.last_at).total_seconds())
        since = max(since, now - ago_s)
    return Idle(boot=activity.boot, since=since)


def is_due(idle: Idle | None, idle_stop_s: int, now: float) -> bool:
    """Whether it is to be stopped; 0: never."""
    return idle is not None and idle_stop_s > 0 and now - idle.since >= idle_stop_s
