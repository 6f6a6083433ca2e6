"""Long work that outlives the call that asked for it: equal calls share it, and who comes back finds it again.

A job belongs to the server, not to a caller: one that is cancelled only lets go, unless the job is one that people
cancel (`JobRequest.is_cancellable`) and nobody else wants it; whoever holds it may give it up (`Hold.give_up`). How
long a result stays true is not known here: who changes what a job made has its result forgotten (`Jobs.forget`). What
was asked for before this server started, and what became of it, is in `JobNotes`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import anyio
from anyio.abc import TaskGroup

from ws_mcp.core.errors import (
    ConflictError,
    JobCancelledError,
    JobClosedError,
    JobMissedError,
    JobOverdueError,
    LimitError,
    WsError,
)
from ws_mcp.core.job import Hold, Job, JobRequest, Report, StillRunning, Work, holding_call
from ws_mcp.core.job_acts import ACTS, Act, Found
from ws_mcp.core.job_notes import JobNotes, Outcome
from ws_mcp.core.leaving import left

log = logging.getLogger(__name__)

T = TypeVar("T")

WAIT_S = 45.0  # of one call; hosts give up on a call after 60 s
AGAIN = "begun again, since a restart of the server interrupted it: "


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBounds:
    """How much, and how long."""

    deadline_s: float = 1200.0  # of a job: the pull of a large image takes 600 s at most, the rest of a provision 100 s
    keep_s: float = 600.0  # of a result that somebody was told to come back for
    running: int = 64  # jobs at once
    kept: int = 256  # results
    callers: int = 128  # of one job: a hundred equal calls at once get an answer each


BOUNDS = JobBounds()


class Jobs:
    """The jobs of a server, made by `open_jobs`. State changes only between two awaits."""

    def __init__(self, tasks: TaskGroup, bounds: JobBounds, notes: JobNotes | None) -> None:
        self._tasks, self._bounds, self._notes = tasks, bounds, notes
        self._jobs: dict[str, Job] = {}

    async def run(self, request: JobRequest, work: Work[T], report: Report, wait_s: float = WAIT_S) -> T | StillRunning:
        """Have it done once for all equal calls at the same time; waits at most `wait_s`.

        A result is kept for a while for those who were told `StillRunning`, once for each of them; not for a call that
        holds what it leaves (`holding`), for that has it by its hold.

        Raises:
            ConflictError: something else is being done under the same key.
            LimitError: too many jobs, or callers of one.
            JobOverdueError, JobClosedError
            JobMissedError: an equal one ended before this server started, and its caller was not told yet.
            Exception: whatever the work raised, to each caller.
        """
        await self._forget_old()
        job = self._job_for(request, work)
        call = holding_call()
        was_owed = job.owed > 0 and call is None
        job.owed -= was_owed
        job.callers += 1
        is_served = False
        try:
            with anyio.move_on_after(min(wait_s, call.wait_s) if call else wait_s):
                await _follow(job, report)
            is_served = job.is_over
            if is_served and was_owed:
                await self._unnote(job)
            if job.failure is not None and is_served:
                raise job.failure
            if is_served:
                return cast("T", job.result)  # equal calls do equal work
            was_owed = call is None
            if call:
                call.hold = Hold(job)
            return job.still_running()
        except anyio.get_cancelled_exc_class():
            was_owed = was_owed and not request.is_cancellable
            if request.is_cancellable and job.callers == 1 and not job.owed and not job.holds:
                job.cancel("who asked for it cancelled the call")
            raise
        finally:
            job.callers -= 1
            job.owed += was_owed and not is_served
            if not is_served and not job.is_over and not job.scope.cancel_called:
                told = left()
                job.told = job.told or told
            self._drop_if_done(job)

    async def forget(self, key: str) -> None:
        """What a kept result of this key says may be true no more."""
        job = self._jobs.get(key)
        if job is not None and job.is_over:
            del self._jobs[key]
            await self._unnote(job)

    async def give_up(self, key: str, but: str = "") -> str:
        """Cancel what runs under a key, if that may be; back when it has undone what it must. Says where it was.

        `but`: not what has this digest.
        """
        job = self._jobs.get(key)
        if job is None or job.is_over or not job.request.is_cancellable or job.request.digest == but:
            return ""
        where = job.phase
        job.cancel("somebody asked for that")
        while not job.is_over:
            await job.changed.wait()
        await self.forget(key)  # who asks from now on asks for something new
        return where

    def _job_for(self, request: JobRequest, work: Work[T]) -> Job:
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
        job = self._jobs[request.key] = Job(secrets.token_hex(8), request, anyio.current_time())
        self._tasks.start_soon(self._do, job, work, name=request.what)
        return job

    async def _do(self, job: Job, work: Work[T]) -> None:
        what = job.request.what
        job.failure = JobClosedError(f"{what} was given up, since this server is closing")
        try:
            with job.scope:
                job.scope.deadline = anyio.current_time() + self._bounds.deadline_s
                await self._begin(job)
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
        await self._conclude(job)

    async def _begin(self, job: Job) -> None:
        """Write down that it begins, and see what became of an equal one before this server started."""
        if self._notes is None:
            return
        before = await self._notes.begin(job.name, job.request)
        if before is None:
            return
        if before.outcome is Outcome.INTERRUPTED:
            job.before = AGAIN
        elif before.outcome is Outcome.FAILED:
            raise JobMissedError(f"this ended before the server restarted: {before.text}")
        elif not job.request.is_repeatable:
            raise JobMissedError(
                f"{job.request.what} was done as you asked, before this server restarted: look at it with "
                "list_containers, and call again only to have it done once more"
            )

    async def _conclude(self, job: Job) -> None:
        """Write down how it ended, and tell those that left."""
        with anyio.CancelScope(shield=True):
            if self._notes is not None:
                await self._notes.end(job.name, job.failure, is_owed=job.owed > 0)
            for ended in (job.told, *(hold.ended for hold in job.holds)):
                if ended is not None:
                    await ended(job.result, job.failure)

    def _drop_if_done(self, job: Job) -> None:
        if job.is_over and not job.owed and not job.callers and self._jobs.get(job.request.key) is job:
            del self._jobs[job.request.key]

    async def _forget_old(self) -> None:
        now = anyio.current_time()
        kept = sorted((job.ended, key) for key, job in self._jobs.items() if job.ended is not None)
        for number, (ended, key) in enumerate(kept):
            if now - ended > self._bounds.keep_s or len(kept) - number > self._bounds.kept:
                await self.forget(key)

    async def _unnote(self, job: Job) -> None:
        if self._notes is not None:
            with anyio.CancelScope(shield=True):
                await self._notes.forget(job.name)


@asynccontextmanager
async def open_jobs(bounds: JobBounds = BOUNDS, notes: JobNotes | None = None) -> AsyncGenerator[Jobs]:
    """Own the jobs of a server; leaving the block cancels them, and waits until they have undone what they must.

    Without `notes` nothing of them is known to the next server.
    """
    async with anyio.create_task_group() as tasks:
        yield Jobs(tasks, bounds, notes)
        tasks.cancel_scope.cancel()


def _act(job: Job | None, request: JobRequest) -> Act:
    if job is None or (job.is_over and not job.owed):
        # Its last callers are about to have it; who comes after the end asks for something new.
        return ACTS[Found.NOTHING, False]
    return ACTS[Found.KEPT if job.is_over else Found.RUNNING, job.request.digest == request.digest]


async def _follow(job: Job, report: Report) -> None:
    """Hand on the progress until the end. A report that takes long skips what came in between, and holds up nobody."""
    while not job.is_over:
        changed = job.changed
        await report(job.phase, job.fraction)
        await changed.wait()
