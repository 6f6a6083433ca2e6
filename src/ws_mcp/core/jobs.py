"""Long work that outlives the call that asked for it: equal calls share it, and who comes back finds it again.

A job belongs to the server, not to a caller: one that is cancelled only lets go, unless the job is one that people
cancel (`JobRequest.is_cancellable`) and nobody else wants it. How long a result stays true is not known here: who
changes what a job made has its result forgotten (`Jobs.forget`).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import anyio
from anyio.abc import TaskGroup

from ws_mcp.core.errors import ConflictError, JobCancelledError, JobClosedError, JobOverdueError, LimitError, WsError
from ws_mcp.core.job_acts import ACTS, Act, Found
from ws_mcp.core.leaving import Ended, left

log = logging.getLogger(__name__)

T = TypeVar("T")

Report = Callable[[str, float], Awaitable[None]]
"""Called with the phase (words) and the fraction done (0 to 1)."""
Work = Callable[[Report], Awaitable[T]]

WAIT_S = 45.0  # of one call; hosts give up on a call after 60 s


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBounds:
    """How much, and how long."""

    deadline_s: float = 1200.0  # of a job: the pull of a large image takes 600 s at most, the rest of a provision 100 s
    keep_s: float = 600.0  # of a result that somebody was told to come back for
    running: int = 64  # jobs at once
    kept: int = 256  # results
    callers: int = 64  # of one job


BOUNDS = JobBounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is to be done. `key`: one job at a time for it; `digest`: which calls are equal; `what`: for reading.

    `is_cancellable`: it ends with its last caller, if nobody was told to come back, and when it is given up.
    """

    key: str
    digest: str
    what: str
    is_cancellable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """The wait of a call ended first: the same call later attaches again."""

    phase: str
    fraction: float
    elapsed_s: float


class _Job:
    """One piece of work. `owed`: how many callers were told to come back and have not yet."""

    def __init__(self, request: JobRequest, began: float) -> None:
        self.request = request
        self.began = began
        self.ended: float | None = None
        self.phase, self.fraction, self.why_cancelled = "starting", 0.0, ""
        self.changed = anyio.Event()  # set, and a new one made, with each report and at the end
        self.result: object = None
        self.failure: Exception | None = None
        self.callers = self.owed = 0
        self.told: Ended | None = None  # of the first caller that left before the end
        self.scope = anyio.CancelScope()

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    async def report(self, phase: str, fraction: float) -> None:
        self.phase, self.fraction = phase, fraction
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class Jobs:
    """The jobs of a server, made by `open_jobs`. State changes only between two awaits."""

    def __init__(self, tasks: TaskGroup, bounds: JobBounds) -> None:
        self._tasks, self._bounds = tasks, bounds
        self._jobs: dict[str, _Job] = {}

    async def run(self, request: JobRequest, work: Work[T], report: Report, wait_s: float = WAIT_S) -> T | StillRunning:
        """Have it done once for all equal calls at the same time; waits at most `wait_s`.

        A result is kept for a while for those who were told `StillRunning`, once for each of them.

        Raises:
            ConflictError: something else is being done under the same key.
            LimitError: too many jobs, or callers of one.
            JobOverdueError, JobClosedError
            Exception: whatever the work raised, to each caller.
        """
        self._forget_old()
        job = self._job_for(request, work)
        was_owed = job.owed > 0
        job.owed -= was_owed
        job.callers += 1
        is_served = False
        try:
            with anyio.move_on_after(wait_s):
                await _follow(job, report)
            is_served = job.is_over
            if job.failure is not None and is_served:
                raise job.failure
            if is_served:
                return cast("T", job.result)  # equal calls do equal work
            was_owed = True
            return StillRunning(phase=job.phase, fraction=job.fraction, elapsed_s=anyio.current_time() - job.began)
        except anyio.get_cancelled_exc_class():
            was_owed = was_owed and not request.is_cancellable
            if request.is_cancellable and job.callers == 1 and not job.owed:
                job.why_cancelled = "who asked for it cancelled the call"
                job.scope.cancel()
            raise
        finally:
            job.callers -= 1
            job.owed += was_owed and not is_served
            if not is_served and not job.is_over and not job.scope.cancel_called:
                told = left()
                job.told = job.told or told
            self._drop_if_done(job)

    def forget(self, key: str) -> None:
        """What a kept result of this key says may be true no more."""
        job = self._jobs.get(key)
        if job is not None and job.is_over:
            del self._jobs[key]

    async def give_up(self, key: str) -> str:
        """Cancel what runs under a key, if that may be; back when it has undone what it must. Says where it was."""
        job = self._jobs.get(key)
        if job is None or job.is_over or not job.request.is_cancellable:
            return ""
        where = job.phase
        job.why_cancelled = "somebody asked for that"
        job.scope.cancel()
        while not job.is_over:
            await job.changed.wait()
        self.forget(key)  # who asks from now on asks for something new
        return where

    def _job_for(self, request: JobRequest, work: Work[T]) -> _Job:
        job = self._jobs.get(request.key)
        act = _act(job, request)
        if job is not None and act is Act.REFUSE:
            raise ConflictError(
                f"{job.request.what} is being done, differently from what you ask for now, since "
                f"{anyio.current_time() - job.began:.0f} s ({job.phase}): wait for its end, then call again"
            )
        if job is not None and act is Act.JOIN:
            if job.callers >= self._bounds.callers:
                raise LimitError(f"{job.callers} calls wait for {job.request.what}, as many as may: call again later")
            return job
        running = sum(not each.is_over for each in self._jobs.values())
        if running >= self._bounds.running:
            raise LimitError(f"this server does {running} things at once, as many as it may: call again in a moment")
        job = self._jobs[request.key] = _Job(request, anyio.current_time())
        self._tasks.start_soon(self._do, job, work, name=request.what)
        return job

    async def _do(self, job: _Job, work: Work[T]) -> None:
        what = job.request.what
        job.failure = JobClosedError(f"{what} was given up, since this server is closing")
        try:
            with job.scope:
                job.scope.deadline = anyio.current_time() + self._bounds.deadline_s
                job.result = await work(job.report)
                job.failure = None
            if job.scope.cancelled_caught and job.why_cancelled:
                why = f"{job.why_cancelled} ({job.phase}): call again if it is still wanted"
                job.failure = JobCancelledError(f"{what} was given up, since {why}")
            elif job.scope.cancelled_caught:
                job.failure = JobOverdueError(
                    f"{what} did not end within {self._bounds.deadline_s:g} s and was given up "
                    f"({job.phase}); call again, and see `ws-mcp doctor` if it happens twice"
                )
        except Exception as error:
            # A bug of ours in one job must not end the server; a call that waits says it to its caller.
            job.failure = error
            if not job.callers:
                is_bug = not isinstance(error, WsError)
                log.warning("%s failed while nobody waited for it", what, exc_info=is_bug)
        finally:
            job.ended = anyio.current_time()
            job.wake()
            self._drop_if_done(job)
        if job.told is not None:
            with anyio.CancelScope(shield=True):
                await job.told(job.result, job.failure)

    def _drop_if_done(self, job: _Job) -> None:
        if job.is_over and not job.owed and not job.callers and self._jobs.get(job.request.key) is job:
            del self._jobs[job.request.key]

    def _forget_old(self) -> None:
        now = anyio.current_time()
        kept = sorted((job.ended, key) for key, job in self._jobs.items() if job.ended is not None)
        for number, (ended, key) in enumerate(kept):
            if now - ended > self._bounds.keep_s or len(kept) - number > self._bounds.kept:
                del self._jobs[key]


@asynccontextmanager
async def open_jobs(bounds: JobBounds = BOUNDS) -> AsyncGenerator[Jobs]:
    """Own the jobs of a server; leaving the block cancels them, and waits until they have undone what they must."""
    async with anyio.create_task_group() as tasks:
        yield Jobs(tasks, bounds)
        tasks.cancel_scope.cancel()


def _act(job: _Job | None, request: JobRequest) -> Act:
    if job is None or (job.is_over and not job.owed):
        # Its last callers are about to have it; who comes after the end asks for something new.
        return ACTS[Found.NOTHING, False]
    return ACTS[Found.KEPT if job.is_over else Found.RUNNING, job.request.digest == request.digest]


async def _follow(job: _Job, report: Report) -> None:
    """Hand on the progress until the end. A report that takes long skips what came in between, and holds up nobody."""
    while not job.is_over:
        changed = job.changed
        await report(job.phase, job.fraction)
        await changed.wait()
