"""Which of many equal refusals are written down: a flood of calls must not be a flood of lines (pure)."""

from __future__ import annotations

from collections.abc import Callable

from ws_mcp.core.ids import PrincipalId

TELL_S = 1.0  # one of each principal in so long, with how many there were besides
KEPT = 1024  # principals of whom that is remembered


class Sparing:
    """Refusals beyond a limit. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[PrincipalId, tuple[float, int]] = {}  # when one was told, and how many were not since

    def told(self, who: PrincipalId) -> str | None:
        """How the next one is written down; None: it is counted only."""
        now = self._clock()
        at, untold = self._told.pop(who, (now - TELL_S, 0))
        is_due = now - at >= TELL_S
        self._told[who] = (now, 0) if is_due else (at, untold + 1)
        while len(self._told) > KEPT:
            del self._told[next(iter(self._told))]
        if not is_due:
            return None
        return f"limit, and {untold} more since" if untold else "limit"
