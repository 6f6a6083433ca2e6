"""The virtual clock of the tests on trio."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import anyio.to_thread
import pytest
import trio.testing


def virtual_clock(patch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    """A clock that leaps to the next deadline when every task waits, and stands still while a worker thread works.

    Left to itself it would not see the thread: a minute would be over before the database has answered.
    """
    clock = trio.testing.MockClock(autojump_threshold=0)
    patch.setattr(anyio.to_thread, "run_sync", _holding(clock, anyio.to_thread.run_sync))
    return clock


def _holding(
    clock: trio.testing.MockClock, run_sync: Callable[..., Awaitable[object]]
) -> Callable[..., Awaitable[object]]:
    working = 0

    @wraps(run_sync)
    async def held(*arguments: Any, **options: Any) -> object:
        nonlocal working
        working += 1
        clock.autojump_threshold = math.inf
        try:
            return await run_sync(*arguments, **options)
        finally:
            working -= 1
            if not working:
                clock.autojump_threshold = 0

    return held
