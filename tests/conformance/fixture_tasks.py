"""The tools of the suite whose work is a job of ours, of which a client that declares tasks gets one."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from conformance.fixture_content import asks_person, given, shown
from conformance.fixture_questions import FixtureQuestions
from mcp import MCPError
from mcp.server.mcpserver.server import require_client_extension
from mcp.types import INTERNAL_ERROR, CallToolResult, ElicitResult, InputRequests, InputRequiredResult

from ws_mcp.core.errors import ConflictError
from ws_mcp.core.job import JobRequest, Report, StillRunning
from ws_mcp.core.jobs import Jobs
from ws_mcp.edge.confirming import UnansweredError
from ws_mcp.edge.identity import request
from ws_mcp.edge.progress import reporter
from ws_mcp.edge.tasks import TASKS, declares_tasks, goes_on

WAIT_S = 0.2  # the suite's jobs take half a second or more; ours wait for longer
ASKED_S = 60

Tool = Callable[..., Awaitable[CallToolResult]]


async def greet(name: str) -> CallToolResult:
    """Never a task."""
    return shown(f"Hello, {name}!")


class JobTools:
    """Each call begins a job of its own."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    @property
    def all(self) -> tuple[Tool, ...]:
        """All of them, and the one that has no job."""
        of_jobs = (self.slow_compute, self.failing_job, self.protocol_error_job, self.confirm_delete)
        return (greet, *of_jobs, self.multi_input, self.test_tool_with_task)

    async def slow_compute(self, seconds: float = 1, label: str = "") -> CallToolResult:
        """Sleeps."""
        return await self._run(partial(_slept, seconds, shown(f"slept {seconds} s for {label}")))

    async def failing_job(self) -> CallToolResult:
        """Is only for clients that have tasks, and fails."""
        require_client_extension(request(), TASKS)
        return await self._run(partial(_slept, 1, ConflictError("it failed")))

    async def protocol_error_job(self) -> CallToolResult:
        """Ends by an error of the protocol."""
        return await self._run(partial(_slept, 0.5, MCPError(INTERNAL_ERROR, "it broke")))

    async def confirm_delete(self, filename: str) -> CallToolResult:
        """Asks in the middle of its work."""
        questions = FixtureQuestions()

        async def work() -> CallToolResult:
            return shown(f"{filename}: {await questions.ask(asks_person('Delete it?', 'confirm', 'boolean'))}")

        return await self._run(work, questions)

    async def multi_input(self) -> CallToolResult:
        """Asks twice at once in the middle of its work."""
        questions = FixtureQuestions()

        async def work() -> CallToolResult:
            async with anyio.create_task_group() as tasks:
                for name in ("one", "two"):
                    tasks.start_soon(questions.ask, asks_person(f"And {name}?", name))
            return shown("both")

        return await self._run(work, questions)

    async def test_tool_with_task(self) -> CallToolResult:
        """Asks before it works."""
        answer = given()[0].get("user_name")
        if isinstance(answer, ElicitResult) and answer.content:
            return await self._run(partial(_slept, 0.5, shown(f"Hello {answer.content['name']}")))
        wanted: InputRequests = {"user_name": asks_person("What is your name?", "name")}
        raise UnansweredError(InputRequiredResult(input_requests=wanted))

    async def _run(
        self, do: Callable[[], Awaitable[CallToolResult]], questions: FixtureQuestions | None = None
    ) -> CallToolResult:
        async def work(_report: Report) -> CallToolResult:
            return await do()

        asked = JobRequest(key=secrets.token_hex(8), digest="", what="a fixture")
        wait_s = WAIT_S if declares_tasks(request()) else ASKED_S
        done = await self._jobs.run(asked, work, reporter(), wait_s)
        if isinstance(done, StillRunning):
            goes_on(_itself, questions)
            return shown("call again")
        return done


async def _slept(seconds: float, outcome: CallToolResult | Exception) -> CallToolResult:
    await anyio.sleep(seconds)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _itself(done: CallToolResult) -> CallToolResult:
    return done
