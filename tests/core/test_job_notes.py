"""What a server knows of the jobs of those before it: who asks again is told what became of what was asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from core.test_jobs import OTHER, REQUEST, Work, quiet, settle

from ws_mcp.core.errors import EngineError, JobMissedError
from ws_mcp.core.job import JobRequest, StillRunning
from ws_mcp.core.job_notes import KEEP_S, MOST, JobNotes, Outcome
from ws_mcp.core.jobs import Jobs, open_jobs
from ws_mcp.core.redaction import SECRETS
from ws_mcp.core.servers import open_servers
from ws_mcp.core.state import State, open_state

pytestmark = pytest.mark.usefixtures("real_io")

FORCED = JobRequest(key="main", digest="a", what="the dev container of '/src/app'", is_repeatable=False)
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def open_notes(state: State, clock: Clock | None = None) -> AsyncGenerator[JobNotes]:
    async with open_servers(state) as servers:
        yield JobNotes(state, servers, clock or Clock())


@asynccontextmanager
async def open_server(directory: Path, clock: Clock | None = None) -> AsyncGenerator[Jobs]:
    """The jobs of one server of a state directory; leaving the block ends it in the middle of what runs."""
    with anyio.fail_after(20):
        async with open_state(directory) as state, open_notes(state, clock) as notes, open_jobs(notes=notes) as jobs:
            yield jobs


async def leave(jobs: Jobs, request: JobRequest = REQUEST, work: Work | None = None) -> Work:
    """Be told to come back for a job, which goes on."""
    work = work or Work()
    assert isinstance(await jobs.run(request, work, quiet, wait_s=0.2), StillRunning)
    assert work.begun == 1
    return work


async def end(work: Work) -> None:
    """Let a job end, with nobody there; its server writes that down before it ends itself."""
    work.may_end.set()
    await settle()


def ready(**more: object) -> Work:
    work = Work(**more)  # pyright: ignore[reportArgumentType]  # the fields of a test's work
    work.may_end.set()
    return work


async def phases_of(jobs: Jobs, request: JobRequest, work: Work) -> list[str]:
    """What a call is told on its way to the end."""
    told: list[str] = []

    async def report(phase: str, _fraction: float) -> None:
        told.append(phase)

    assert await jobs.run(request, work, report) == "done"
    return told


async def test_what_a_restart_interrupted_is_begun_again_for_who_asks_again_and_is_said_to_be(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await leave(jobs)
    async with open_server(tmp_path / "s") as jobs:
        again = Work(phases=["creating the container"])
        told = await jobs.run(REQUEST, again, quiet, wait_s=0.5)
        assert isinstance(told, StillRunning)
        assert told.phase == "begun again, since a restart of the server interrupted it: creating the container"
        await end(again)
        assert await jobs.run(REQUEST, Work(), quiet) == "done"
        assert await phases_of(jobs, REQUEST, ready(phases=["once more"])) == ["starting", "once more"]


async def test_a_failure_of_which_nobody_was_told_is_told_once_after_a_restart(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await end(await leave(jobs, work=Work(answer=EngineError("the disk of the engine is full"))))
    async with open_server(tmp_path / "s") as jobs:
        work = ready()
        with pytest.raises(JobMissedError, match="before the server restarted: the disk of the engine is full"):
            await jobs.run(REQUEST, work, quiet)
        assert work.begun == 0
        assert await jobs.run(REQUEST, work, quiet) == "done"


async def test_what_was_done_is_looked_at_again_where_that_does_no_harm(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await end(await leave(jobs))
    async with open_server(tmp_path / "s") as jobs:
        assert await phases_of(jobs, REQUEST, ready(phases=["it is there"])) == ["starting", "it is there"]


async def test_what_was_done_is_not_done_twice_where_that_does_harm_unless_asked_for_once_more(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await end(await leave(jobs, FORCED))
    async with open_server(tmp_path / "s") as jobs:
        work = ready()
        with pytest.raises(JobMissedError, match="was done as you asked, before this server restarted"):
            await jobs.run(FORCED, work, quiet)
        assert work.begun == 0
        assert await jobs.run(FORCED, work, quiet) == "done"


@pytest.mark.parametrize("answer", ["done", EngineError("no")])
async def test_who_was_told_is_not_told_again_after_a_restart(tmp_path: Path, answer: object) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await end(await leave(jobs, FORCED, Work(answer=answer)))
        with suppress(EngineError):
            await jobs.run(FORCED, Work(), quiet)
    async with open_server(tmp_path / "s") as jobs:
        assert await jobs.run(FORCED, ready(), quiet) == "done"


async def test_what_may_be_true_no_more_is_not_told_after_a_restart(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await end(await leave(jobs, FORCED))
        await jobs.forget(FORCED.key)
    async with open_server(tmp_path / "s") as jobs:
        assert await jobs.run(FORCED, ready(), quiet) == "done"


async def test_an_unequal_call_is_not_told_of_it_nor_is_anybody_after_it(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await end(await leave(jobs, work=Work(answer=EngineError("no"))))
    async with open_server(tmp_path / "s") as jobs:
        assert await jobs.run(OTHER, ready(), quiet) == "done"
        assert await jobs.run(REQUEST, ready(), quiet) == "done"


async def test_what_was_interrupted_is_so_whatever_else_was_asked_for_since(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await leave(jobs)
    async with open_server(tmp_path / "s") as jobs:
        assert await jobs.run(OTHER, ready(), quiet) == "done"
        phases = await phases_of(jobs, REQUEST, ready(phases=["creating the container"]))
    assert phases[-1] == "begun again, since a restart of the server interrupted it: creating the container"


async def test_a_job_of_another_server_that_lives_was_not_interrupted(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs, open_server(tmp_path / "s") as others:
        running = await leave(jobs)
        assert await phases_of(others, REQUEST, ready(phases=["it is there"])) == ["starting", "it is there"]
        await end(running)


async def test_jobs_go_on_where_nothing_can_be_written_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_state(tmp_path / "s") as state, open_notes(state) as notes, open_jobs(notes=notes) as jobs:
        await state.aclose()
        assert await jobs.run(REQUEST, ready(), quiet) == "done"
    assert "a restart would not know of a job" in caplog.text


async def test_what_is_written_down_holds_no_secret_and_no_text_of_a_bug(tmp_path: Path) -> None:
    SECRETS.add("hunter2-hunter2", by="test")
    async with open_state(tmp_path / "s") as state, open_notes(state) as notes:
        for name, failure in (("one", EngineError("wrong password hunter2-hunter2")), ("two", ValueError("secret"))):
            await notes.begin(name, JobRequest(key=name, digest="", what=name))
            await notes.end(name, failure, is_owed=True)
        rows = await state.run(lambda db: db.execute("SELECT * FROM jobs").fetchall())
    assert "password [redacted]" in str(rows)
    assert "hunter2" not in str(rows)
    assert "secret" not in str(rows)


async def test_only_so_much_is_kept_and_only_for_so_long(tmp_path: Path) -> None:
    clock = Clock()
    requests = [JobRequest(key=str(number), digest="", what="it") for number in range(MOST + 2)]
    async with open_state(tmp_path / "s") as state:
        async with open_notes(state, clock) as notes:
            for request in requests:
                clock.now += timedelta(seconds=1)
                await notes.begin(request.key, request)
            count = await state.run(lambda db: db.execute("SELECT count(*) FROM jobs").fetchone()[0])
            assert count == MOST
        async with open_notes(state, clock) as notes:
            last = await notes.begin("again", requests[-1])
            assert last is not None
            assert last.outcome is Outcome.INTERRUPTED
            clock.now += timedelta(seconds=KEEP_S + 1)
            await notes.begin("other", JobRequest(key="other", digest="", what="it"))
            assert await notes.begin("late", requests[-2]) is None


async def test_a_server_that_ended_leaves_nothing_among_the_locks(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as jobs:
        await leave(jobs)
        assert [each.name for each in (tmp_path / "s" / "locks").glob("server-*")] != []
    assert [each.name for each in (tmp_path / "s" / "locks").glob("server-*")] == []
