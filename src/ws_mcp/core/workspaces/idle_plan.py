"""Since when nothing goes on in a workspace, and whether it is to be stopped for that (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

CANNOT_BE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What an execd says. `running`: processes, and those that ended ones left behind; `last_at`: a start or end.

    `CANNOT_BE`: a moment was told that is none.
    """

    boot: str
    running: int
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing has gone on since this moment of the monotonic clock, in this boot of its execd.

    `last_at`: what its execd said last of when something did; by its own clock, so it is the same or another one.
    """

    boot: str
    since: float
    last_at: datetime | None = None


def idle_of(
    before: Idle | None, activity: Activity | None, *, is_busy: bool, now: float, wall: datetime
) -> Idle | None:
    """How it stands now; None: something goes on, or nobody knows.

    The clocks of two machines need not agree, and each may jump: that nothing was started or ended is told by a moment
    that is still the same. Of another one only what can be is believed; else the time begins anew.
    """
    if activity is None or activity.running or is_busy:
        return None
    if before is None or before.boot != activity.boot or activity.last_at == CANNOT_BE:
        return Idle(boot=activity.boot, since=now, last_at=activity.last_at)
    if activity.last_at is None or activity.last_at == before.last_at:
        return before
    ago_s = (wall - activity.last_at).total_seconds()
    since = now - ago_s if 0 <= ago_s <= now - before.since else now
    return Idle(boot=activity.boot, since=since, last_at=activity.last_at)


def is_due(idle: Idle | None, idle_stop_s: int, now: float) -> bool:
    """Whether it is to be stopped; 0: never."""
    return idle is not None and idle_stop_s > 0 and now - idle.since >= idle_stop_s
