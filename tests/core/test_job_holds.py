"""Calls that hold the job that they leave: what they are told of it, and when they end it."""

from __future__ import annotations

import anyio
import pytest
from core.test_jobs import CANCELLABLE, REQUEST, Caller, Work, open_calls, quiet, settle

from ws_mcp.core.errors import JobCancelledError
from ws_mcp.core.job import Hold, StillRunning, holding
from ws_mcp.core.jobs import Jobs

HOLD_S = 2.0


async def hold(jobs: Jobs, work: Work) -> Hold:
    """Leave a job that goes on, and hold it."""
    with holding(HOLD_S) as call:
        assert isinstance(await jobs.run(REQUEST, work, quiet), StillRunning)
    assert call.hold is not None
    return call.hold


class Told:
    """Who is told how a job ends."""

    def __init__(self) -> None:
        self.got: list[object] = []

    async def __call__(self, result: object, failure: Exception | None) -> None:
        self.got.append(failure or result)


async def test_a_call_that_holds_waits_no_longer_than_it_said_and_than_others_may(virtual_time: None) -> None:
    async with open_calls() as (jobs, _):
        began = anyio.current_time()
        await hold(jobs, Work())
        assert anyio.current_time() - began == HOLD_S
        with holding(HOLD_S):
            await jobs.run(REQUEST, Work(), quiet, wait_s=1)
        assert anyio.current_time() - began == HOLD_S + 1


async def test_who_has_its_result_in_line_holds_nothing(virtual_time: None) -> None:
    work = Work()
    work.may_end.set()
    async with open_calls() as (jobs, _):
        with holding(HOLD_S) as call:
            assert await jobs.run(REQUEST, work, quiet) == "done"
        assert call.hold is None


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("answer", ["done", ValueError("no")])
async def test_who_holds_a_job_is_told_its_end_once_whether_it_asks_before_or_after(
    answer: object, *, is_late: bool, virtual_time: None
) -> None:
    work, told = Work(answer=answer), Told()
    async with open_calls() as (jobs, _):
        held = await hold(jobs, work)
        if is_late:
            work.may_end.set()
            await settle()
        await held.when_over(told)
        work.may_end.set()
        await settle()
    assert told.got == [answer]


async def test_what_is_held_is_not_kept_for_equal_calls(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, _):
        await hold(jobs, work)
        work.may_end.set()
        await settle()
        await jobs.run(REQUEST, work, quiet)
    assert work.begun == 2


async def test_a_call_that_holds_takes_nothing_from_who_was_told_to_come_back(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, _):
        await jobs.run(REQUEST, work, quiet, wait_s=1)
        await hold(jobs, work)
        work.may_end.set()
        await settle()
        assert await jobs.run(REQUEST, work, quiet) == "done"
    assert work.begun == 1


async def test_the_last_who_wants_it_ends_it_by_giving_up(virtual_time: None) -> None:
    work, told = Work(), Told()
    async with open_calls() as (jobs, _):
        held = await hold(jobs, work)
        await held.when_over(told)
        assert held.give_up()
        await settle()
    assert work.undone == 1
    (failure,) = told.got
    assert isinstance(failure, JobCancelledError)


async def test_it_goes_on_for_another_that_holds_it(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, _):
        one, other = await hold(jobs, work), await hold(jobs, work)
        assert not one.give_up()
        await settle()
        assert work.undone == 0
        assert other.give_up()
        await settle()
    assert work.undone == 1


@pytest.mark.parametrize("is_back", [False, True])
async def test_it_goes_on_for_who_waits_and_for_who_was_told_to_come_back(*, is_back: bool, virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        held = await hold(jobs, work)
        caller = Caller(jobs, work=work, wait_s=1 if is_back else 60)
        tasks.start_soon(caller)
        await anyio.sleep(2)
        assert not held.give_up()
        await settle()
        assert work.undone == 0
        work.may_end.set()
        await settle()
        assert await jobs.run(REQUEST, work, quiet) == "done" if is_back else caller.got == ["done"]


async def test_a_caller_that_is_cancelled_does_not_end_what_another_holds(virtual_time: None) -> None:
    work = Work()
    async with open_calls() as (jobs, tasks):
        with holding(HOLD_S):
            await jobs.run(CANCELLABLE, work, quiet)
        caller = Caller(jobs, CANCELLABLE, work)
        tasks.start_soon(caller)
        await settle()
        caller.scope.cancel()
        await caller.over.wait()
        await settle()
        assert work.undone == 0
