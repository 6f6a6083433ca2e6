"""Long work that several calls share: who gets what, when, and what becomes of it when nobody waits."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import cast

import anyio
import pytest
from anyio.abc import TaskGroup

from ws_mcp.core.errors import (
    ConflictError,
    EngineError,
    JobCancelledError,
    JobClosedError,
    JobOverdueError,
    LimitError,
    WsError,
)
from ws_mcp.core.job import JobRequest, Report, StillRunning
from ws_mcp.core.job_acts import ACTS, Act, Found
from ws_mcp.core.jobs import BOUNDS, WAIT_S, JobBounds, Jobs, open_jobs

REQUEST = JobRequest(key="main", digest="a", what="the provision of workspace 'main'")
CANCELLABLE = JobRequest(key="main", digest="a", what="the dev container of '/src/app'", is_cancellable=True)
OTHER = JobRequest(key="main", digest="b", what="the provision of workspace 'main'")


async def quiet(_phase: str, _fraction: float) -> None: ...


@dataclass
class Work:
    """Work that a test ends when it likes; counts how often it was begun."""

    begun: int = 0
    undone: int = 0
    answer: object = "done"
    phases: list[str] = field(default_factory=list[str])
    report: Report | None = None
    may_end: anyio.Event = field(default_factory=anyio.Event)
    has_begun: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, report: Report) -> object:
        self.begun += 1
        self.report = report
        self.has_begun.set()
        try:
            for phase in self.phases:
                await report(phase, 0.5)
            await self.may_end.wait()
        except BaseException:
            self.undone += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Caller:
    """One call, running beside others; what it got, and what it was told on the way."""

    jobs: Jobs
    request: JobRequest = REQUEST
    work: Work = field(default_factory=Work)
    wait_s: float = WAIT_S
    got: list[object] = field(default_factory=list[object])
    told: list[str] = field(default_factory=list[str])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    over: anyio.Event = field(default_factory=anyio.Event)

    async def report(self, phase: str, _fraction: float) -> None:
        self.told.append(phase)

    async def __call__(self) -> None:
        with self.scope:
            try:
                self.got.append(await self.jobs.run(self.request, self.work, self.report, self.wait_s))
            except WsError as error:
                self.got.append(error)
        self.over.set()


@asynccontextmanager
async def open_calls(bounds: JobBounds = BOUNDS) -> AsyncGenerator[tuple[Jobs, TaskGroup]]:
    """Jobs, and a group for the tasks of callers, which have to be over at the end."""
    with anyio.fail_after(86_400):
        async with open_jobs(bounds) as jobs, anyio.create_task_group() as tasks:
            yield jobs, tasks


async def settle() -> None:
    """Let everything that can go on do so."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


async def ended_unseen(jobs: Jobs, work: Work) -> None:
    """A call is told to come back, and its job ends before it does."""
    told = await jobs.run(REQUEST, work, quiet, wait_s=1)
    assert isinstance(told, StillRunning)
    work.may_end.set()
    await settle()


def test_each_case_of_what_is_found_has_its_act() -> None:
    assert {found for found, _ in ACTS} == set(Found)
    assert {(found, equal) for found, equal in product(Found, (False, True)) if (found, equal) not in ACTS} == {
        (Found.NOTHING, True)
    }
    # A call never gets what an unequal one asked for.
    assert [found for (found, equal), act in ACTS.items() if act is Act.JOIN and not equal] == []


async def test_equal_calls_at_the_same_time_share_one_job_and_all_get_its_result() -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        callers = [Caller(jobs, work=work) for _ in range(5)]
        for caller in callers:
            tasks.start_soon(caller)
        await settle()
        assert [caller.over.is_set() for caller in callers] == [False] * 5
        work.may_end.set()
    assert work.begun == 1
    assert [caller.got for caller in callers] == [["done"]] * 5


async def test_all_of_them_get_its_error() -> None:
    work = Work(answer=EngineError("the engine said no"))
    async with open_calls() as (jobs, tasks):
        callers = [Caller(jobs, work=work) for _ in range(3)]
        for caller in callers:
            tasks.start_soon(caller)
        await settle()
        work.may_end.set()
    assert [caller.got for caller in callers] == [[work.answer]] * 3


async def test_a_bug_in_the_work_is_its_callers_answer_and_does_not_end_the_server() -> None:
    bug, fine = Work(answer=ZeroDivisionError("of ours")), Work()
    bug.may_end.set()
    fine.may_end.set()
    async with open_calls() as (jobs, _):
        with pytest.raises(ZeroDivisionError):
            await jobs.run(REQUEST, bug, quiet)
        assert await jobs.run(REQUEST, fine, quiet) == "done"


async def test_one_that_comes_later_hears_where_it_is_and_what_follows() -> None:
    work = Work(phases=["pulling the image"])
    async with open_calls() as (jobs, tasks):
        first, late = Caller(jobs, work=work), Caller(jobs, work=work)
        tasks.start_soon(first)
        await settle()
        tasks.start_soon(late)
        await settle()
        assert work.report is not None
        await work.report("creating the container", 0.7)
        await settle()
        work.may_end.set()
    assert late.told == ["pulling the image", "creating the container"]
    assert first.told[-2:] == late.told


async def test_a_caller_that_does_not_read_its_progress_holds_up_nobody() -> None:
    work = Work(phases=["one", "two", "three"])
    work.may_end.set()

    async def stuck(_phase: str, _fraction: float) -> None:
        await anyio.sleep_forever()

    async with open_calls() as (jobs, tasks):
        tasks.start_soon(jobs.run, REQUEST, work, stuck)
        await settle()
        assert work.begun == 1
        assert await jobs.run(REQUEST, Work(answer="new", may_end=work.may_end), quiet) == "new"
        tasks.cancel_scope.cancel()


async def test_another_wish_for_the_same_thing_is_told_what_is_being_done(virtual_time: None) -> None:
    work = Work(phases=["pulling the image"])
    async with open_calls() as (jobs, tasks):
        tasks.start_soon(Caller(jobs, work=work))
        await work.has_begun.wait()
        await anyio.sleep(30)
        refused = Work()
        with pytest.raises(ConflictError, match=r"workspace 'main' is being done.*since 30 s \(pulling the image\)"):
            await jobs.run(OTHER, refused, quiet)
        assert refused.begun == 0
        work.may_end.set()
    assert work.begun == 1


async def test_other_keys_do_not_wait_for_each_other() -> None:
    slow, quick = Work(), Work()
    quick.may_end.set()
    async with open_calls() as (jobs, tasks):
        tasks.start_soon(Caller(jobs, work=slow))
        await slow.has_begun.wait()
        assert await jobs.run(JobRequest(key="other", digest="a", what="x"), quick, quiet) == "done"
        slow.may_end.set()


async def test_a_call_waits_no_longer_than_it_may_and_says_where_the_work_is(virtual_time: None) -> None:
    work = Work(phases=["pulling the image"])
    async with open_calls() as (jobs, _):
        began = anyio.current_time()
        told = await jobs.run(REQUEST, work, quiet)
        assert told == StillRunning(phase="pulling the image", fraction=0.5, elapsed_s=WAIT_S)
        assert anyio.current_time() - began == WAIT_S
        assert work.undone == 0


async def test_the_same_call_later_attaches_again(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        for seconds in (45, 90, 135):
            told = await jobs.run(REQUEST, work, quiet)
            assert isinstance(told, StillRunning)
            assert told.elapsed_s == seconds
        again = Caller(jobs, work=work)
        tasks.start_soon(again)
        await settle()
        work.may_end.set()
        await again.over.wait()
        assert again.got == ["done"]
        assert await jobs.run(REQUEST, Work(answer="new", may_end=work.may_end), quiet) == "new"
    assert work.begun == 1


@pytest.mark.parametrize("answer", ["done", EngineError("no")])
async def test_who_was_told_to_come_back_gets_the_result_once(virtual_time: None, answer: object) -> None:
    work = Work(answer=answer)
    async with open_calls() as (jobs, tasks):
        await ended_unseen(jobs, work)
        await anyio.sleep(BOUNDS.keep_s - 1)
        again = Caller(jobs, work=work)
        tasks.start_soon(again)
        await again.over.wait()
        assert again.got == [answer]
        assert work.begun == 1
        tasks.start_soon(Caller(jobs, work=work))
    assert work.begun == 2


async def test_two_who_were_told_to_come_back_both_get_the_result(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        first, second = Caller(jobs, work=work), Caller(jobs, work=work)
        tasks.start_soon(first)
        tasks.start_soon(second)
        await first.over.wait()
        await second.over.wait()
        work.may_end.set()
        await settle()
        assert [await jobs.run(REQUEST, work, quiet) for _ in range(2)] == ["done", "done"]
        assert work.begun == 1


async def test_a_result_is_not_kept_for_those_who_have_it_nor_for_those_who_left(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        left, stayed = Caller(jobs, work=work), Caller(jobs, work=work)
        tasks.start_soon(left)
        tasks.start_soon(stayed)
        await settle()
        left.scope.cancel()
        await left.over.wait()
        work.may_end.set()
        await stayed.over.wait()
        assert (left.got, stayed.got) == ([], ["done"])
        await jobs.run(REQUEST, work, quiet)
    assert work.begun == 2


async def test_a_result_that_nobody_fetches_is_forgotten_in_the_end(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, _):
        await ended_unseen(jobs, work)
        await anyio.sleep(BOUNDS.keep_s + 1)
        await jobs.run(REQUEST, work, quiet)
    assert work.begun == 2


async def test_a_result_that_may_be_true_no_more_is_not_given(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, _):
        await ended_unseen(jobs, work)
        await jobs.forget(REQUEST.key)
        await jobs.run(REQUEST, work, quiet)
    assert work.begun == 2


async def test_forgetting_does_not_touch_what_runs(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, _):
        await jobs.run(REQUEST, work, quiet)
        await jobs.forget(REQUEST.key)
        await jobs.forget("never heard of")
        work.may_end.set()
        assert await jobs.run(REQUEST, work, quiet) == "done"
    assert work.begun == 1


async def test_an_unequal_call_after_the_end_is_done_and_does_not_get_the_old_result(virtual_time: None) -> None:
    work, other = Work(), Work(answer="other")
    other.may_end.set()
    async with open_calls() as (jobs, _):
        await ended_unseen(jobs, work)
        assert await jobs.run(OTHER, other, quiet) == "other"


async def test_work_goes_on_when_its_only_caller_is_cancelled() -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        caller = Caller(jobs, work=work)
        tasks.start_soon(caller)
        await work.has_begun.wait()
        caller.scope.cancel()
        await caller.over.wait()
        assert (work.begun, work.undone) == (1, 0)
        again = Caller(jobs, work=work)
        tasks.start_soon(again)
        await settle()
        work.may_end.set()
    assert (again.got, work.begun) == (["done"], 1)


async def test_work_that_people_cancel_ends_with_its_last_caller_and_can_be_asked_for_again() -> None:
    first, second = Work(), Work()
    async with open_calls() as (jobs, tasks):
        callers = [Caller(jobs, CANCELLABLE, first) for _ in range(2)]
        for caller in callers:
            tasks.start_soon(caller)
        await first.has_begun.wait()
        await settle()
        callers[0].scope.cancel()
        await settle()
        assert first.undone == 0
        callers[1].scope.cancel()
        await settle()
        assert (first.undone, callers[1].got) == (1, [])
        again = Caller(jobs, CANCELLABLE, second)
        tasks.start_soon(again)
        await settle()
        second.may_end.set()
    assert (again.got, second.begun) == (["done"], 1)


async def test_work_that_people_cancel_goes_on_for_who_was_told_to_come_back(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        tellers = [Caller(jobs, CANCELLABLE, work, wait_s=1) for _ in range(2)]
        for teller in tellers:
            tasks.start_soon(teller)
        for teller in tellers:
            await teller.over.wait()
        back = Caller(jobs, CANCELLABLE, work)
        tasks.start_soon(back)
        await settle()
        back.scope.cancel()
        await settle()
        # The one of the two who came back is gone for good; nobody knows of the other.
        assert work.undone == 0


async def test_who_calls_while_what_was_cancelled_is_undone_is_told_so() -> None:
    is_undone = anyio.Event()

    async def work(_report: Report) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await is_undone.wait()

    async with open_calls() as (jobs, tasks):
        first, second = (Caller(jobs, CANCELLABLE, cast("Work", work)) for _ in range(2))
        tasks.start_soon(first)
        await settle()
        first.scope.cancel()
        await settle()
        tasks.start_soon(second)
        await settle()
        is_undone.set()
    (failure,) = second.got
    assert isinstance(failure, JobCancelledError)
    assert "call again" in str(failure)


async def test_a_caller_that_comes_back_and_is_cancelled_can_come_back_again(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        await jobs.run(REQUEST, work, quiet)
        back = Caller(jobs, work=work)
        tasks.start_soon(back)
        await settle()
        back.scope.cancel()
        work.may_end.set()
        await back.over.wait()
        await settle()
        assert await jobs.run(REQUEST, work, quiet) == "done"
    assert work.begun == 1


async def test_a_caller_whose_progress_cannot_be_told_fails_alone() -> None:
    work = Work()

    async def broken(_phase: str, _fraction: float) -> None:
        raise OSError("the client has gone")

    async with open_calls() as (jobs, tasks):
        with pytest.raises(OSError, match="has gone"):
            await jobs.run(REQUEST, work, broken)
        other = Caller(jobs, work=work)
        tasks.start_soon(other)
        await settle()
        work.may_end.set()
    assert (other.got, work.begun) == (["done"], 1)


async def test_work_that_does_not_end_is_given_up_and_undone(virtual_time: None) -> None:
    work = Work(phases=["pulling the image"])
    async with open_calls() as (jobs, _):
        for _ in range(int(BOUNDS.deadline_s // WAIT_S)):
            assert isinstance(await jobs.run(REQUEST, work, quiet), StillRunning)
        with pytest.raises(JobOverdueError, match=r"did not end within 1200 s and was given up .pulling the image"):
            await jobs.run(REQUEST, work, quiet)
        assert (work.begun, work.undone) == (1, 1)


async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(answer=ZeroDivisionError("of ours"))
    async with open_calls() as (jobs, tasks):
        caller = Caller(jobs, work=work)
        tasks.start_soon(caller)
        await work.has_begun.wait()
        caller.scope.cancel()
        await caller.over.wait()
        with caplog.at_level(logging.WARNING):
            work.may_end.set()
            await settle()
    assert "the provision of workspace 'main' failed while nobody waited" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_leaving_cancels_the_work_waits_until_it_is_undone_and_tells_who_waits() -> None:
    work = Work()
    got: list[object] = []
    async with anyio.create_task_group() as tasks:
        async with open_jobs() as jobs:
            caller = Caller(jobs, work=work, got=got)
            tasks.start_soon(caller)
            await work.has_begun.wait()
        assert work.undone == 1
    assert isinstance(got[0], JobClosedError)


async def test_so_many_jobs_run_at_once_and_no_more() -> None:
    work = Work()
    async with open_calls(JobBounds(running=2)) as (jobs, tasks):
        for key in ("a", "b"):
            tasks.start_soon(Caller(jobs, request=JobRequest(key=key, digest="", what=key), work=work))
        await settle()
        with pytest.raises(LimitError, match="2 things at once"):
            await jobs.run(JobRequest(key="c", digest="", what="c"), work, quiet)
        work.may_end.set()


async def test_so_many_calls_wait_for_one_job_and_no_more() -> None:
    work = Work()
    async with open_calls(JobBounds(callers=2)) as (jobs, tasks):
        for _ in range(2):
            tasks.start_soon(Caller(jobs, work=work))
        await settle()
        with pytest.raises(LimitError, match="2 calls wait"):
            await jobs.run(REQUEST, work, quiet)
        work.may_end.set()


async def test_so_many_results_are_kept_and_the_oldest_go_first(virtual_time: None) -> None:
    works = {key: Work(answer=key) for key in "abc"}
    requests = {key: JobRequest(key=key, digest="", what=key) for key in "abc"}
    async with open_calls(JobBounds(kept=2)) as (jobs, _):
        for key, work in works.items():
            await jobs.run(requests[key], work, quiet, wait_s=1)
        for work in works.values():
            await anyio.sleep(1)
            work.may_end.set()
        await settle()
        for key in "cba":
            await jobs.run(requests[key], works[key], quiet)
    assert {key: work.begun for key, work in works.items()} == {"a": 2, "b": 1, "c": 1}
