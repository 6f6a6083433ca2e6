"""Calls that end while the job that they asked for goes on: who lets calls through learns of it, and how the job ends.

Knows neither calls nor jobs: it hands from the one to the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Ended = Callable[[object, Exception | None], Awaitable[None]]
"""Told how a job ended whose call was gone: its result, or why it failed."""


@dataclass(slots=True)
class Leaving:
    """One call. `has_left`: it ended, or ends, before its job."""

    ended: Ended
    has_left: bool = False


_call: ContextVar[Leaving | None] = ContextVar("ws_mcp_leaving", default=None)


@contextmanager
def leaving(ended: Ended) -> Generator[Leaving]:
    """The time of a call."""
    call = Leaving(ended)
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)


def left() -> Ended | None:
    """Say that the call of this task lets go of a job that goes on. Returns who is to be told of its end."""
    call = _call.get()
    if call is None:
        return None
    call.has_left = True
    return call.ended
