"""How much callers may ask for, as values (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator grants. Where nothing else is said: of one chat."""

    calls_at_once: int = 8
    calls_per_s: float = 10.0
    calls_burst: int = 40  # calls that may come at once after a pause
    streams: int = 8  # open ones of one principal, of both eras
    principal_times: int = 4  # a principal may have as much as so many chats
    processes: int = 32  # that run
    workspaces: int = 16
    volumes: int = 8  # data of workspaces, also of removed ones
    all_processes: int = 1000  # of the whole instance
    all_workspaces: int = 64


LimitsNow = Callable[[], Limits | None]
"""Those that count at this moment, for a policy can be read again; None: there are none."""


def unlimited() -> None:
    """No limits."""
