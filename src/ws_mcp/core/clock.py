"""The wall clock, for showing only: deadlines use `anyio.current_time()`, and what is kept grows old by `ages`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]
Shown = Callable[[datetime], datetime]
"""From a moment that is kept, to what people are shown."""


def utc_now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)


def unchanged(moment: datetime) -> datetime:
    """A moment of the wall clock, to be shown."""
    return moment
