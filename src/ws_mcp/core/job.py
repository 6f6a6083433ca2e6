"""One piece of long work, and who wants it: calls that wait for it, that were told to come back, or that hold it.

A call that holds a job when it leaves asks for it later by its hold, and is not owed the result of an equal call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import anyio

from ws_mcp.core.leaving import Ended

T = TypeVar("T")

Report = Callable[[str, float], Awaitable[None]]
"""Called with the phase (words) and the fraction done (0 to 1)."""
Work = Callable[[Report], Awaitable[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is to be done. `key`: one job at a time for it; `digest`: which calls are equal; `what`: for reading.

    `is_cancellable`: it ends with its last caller, if nobody was told to come back, and when it is given up.
    `is_repeatable`: to do it again, when it is done, changes nothing.
    """

    key: str
    digest: str
    what: str
    is_cancellable: bool = False
    is_repeatable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """The wait of a call ended first: the same call later attaches again."""

    phase: str
    fraction: float
    elapsed_s: float


class Job:
    """One piece of work. `owed`: how many callers were told to come back and have not yet."""

    def __init__(self, name: str, request: JobRequest, began: float) -> None:
        self.name = name
        self.request = request
        self.began = self.changed_at = began
        self.ended: float | None = None
        self.phase, self.fraction, self.why_cancelled = "starting", 0.0, ""
        self.before = ""  # what is said before each phase
        self.changed = anyio.Event()  # set, and a new one made, with each report and at the end
        self.result: object = None
        self.failure: Exception | None = None
        self.callers = self.owed = 0
        self.holds: set[Hold] = set()
        self.told: Ended | None = None  # of the first caller that left before the end
        self.scope = anyio.CancelScope()

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    async def report(self, phase: str, fraction: float) -> None:
        self.phase, self.fraction = f"{self.before}{phase}", fraction
        self.changed_at = anyio.current_time()
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def cancel(self, why: str) -> None:
        self.why_cancelled = why
        self.scope.cancel()

    def still_running(self) -> StillRunning:
        return StillRunning(phase=self.phase, fraction=self.fraction, elapsed_s=anyio.current_time() - self.began)


class Hold:
    """What a call that left a job has of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ended: Ended | None = None  # told how the job ends
        job.holds.add(self)

    async def when_over(self, ended: Ended) -> None:
        """Have `ended` told how the job ends; at once if it has ended."""
        if self.job.is_over:
            await ended(self.job.result, self.job.failure)
        else:
            self.ended = ended

    def drop(self) -> None:
        """Want it no more; the job goes on."""
        self.job.holds.discard(self)

    def come_back(self) -> None:
        """Hold it no more, and be one that was told to come back for it."""
        self.drop()
        self.job.owed += 1

    def give_up(self) -> bool:
        """Cancel the job if nobody else wants it; else want it no more. Says whether it ends."""
        if self.job.callers or self.job.owed or self.job.holds != {self}:
            self.drop()
            return False
        self.job.cancel("who asked for it cancelled its task")
        return True


@dataclass(slots=True)
class Holding:
    """A call that takes a hold on the job that it leaves, which it does after `wait_s` at most."""

    wait_s: float
    hold: Hold | None = None


_call: ContextVar[Holding | None] = ContextVar("ws_mcp_holding", default=None)


@contextmanager
def holding(wait_s: float) -> Generator[Holding]:
    """The time of a call that holds what it leaves."""
    call = Holding(wait_s)
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)


def holding_call() -> Holding | None:
    """The call of this task, if it holds what it leaves."""
    return _call.get()
