"""Spares callers an engine that hangs: after some calls in a row without an answer the next ones fail at once.

One call every so often is let through, and so is whoever listens to events and tries by itself; the first answer ends
it. An engine that refuses connections fails at once as it is, and is none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

from ws_mcp.core.errors import EngineError, EngineTimeoutError

FAILURES = 5  # in a row; one or two are a slow disk
PAUSE_S = 10.0  # longer than who listens waits between two tries (`looks.REOPEN_S`): then no caller has to be the one


class Breaker:
    """What is known of how an engine answers. Times are those of the event loop."""

    def __init__(self, now: Callable[[], float] = anyio.current_time) -> None:
        self._now = now
        self._failures = 0
        self._silent_since = 0.0  # when the first of the calls began that got no answer
        self._next_at = 0.0
        self._trying = 0  # calls that were let through though it is open

    @property
    def is_open(self) -> bool:
        """Whether the engine is taken for one that hangs."""
        return self._failures >= FAILURES

    @contextmanager
    def asking(self, where: str) -> Generator[None]:
        """The time in which the engine is asked for something.

        Raises:
            EngineTimeoutError: it is taken for one that hangs, and was not asked.
        """
        if self.is_open and (self._trying or self._now() < self._next_at):
            raise EngineTimeoutError(self._refusal(where))
        with self.listening():
            yield

    @contextmanager
    def listening(self) -> Generator[None]:
        """The same for who tries by itself, again and again: nobody waits for that."""
        began, was_open = self._now(), self.is_open
        self._trying += was_open
        try:
            yield
        except EngineTimeoutError:
            self._missed(began)
            raise
        except EngineError:
            self._failures = 0
            raise
        else:
            self._failures = 0
        finally:
            self._trying -= was_open

    def _missed(self, began: float) -> None:
        self._silent_since = began if not self._failures else min(self._silent_since, began)
        self._failures += 1
        self._next_at = self._now() + PAUSE_S

    def _refusal(self, where: str) -> str:
        left_s = self._next_at - self._now()
        then = "is going on" if self._trying else f"is in {max(left_s, 1):.0f} s"
        return (
            f"the engine at {where} has not answered for {self._now() - self._silent_since:.0f} s, so it was not asked "
            f"again now; the next try {then}. Look at the engine, then call again"
        )
