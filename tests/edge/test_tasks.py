"""The tasks extension: who declares it has a task where others are told to call again, with the same answer at last."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY
from support.edge_client import MODES, call, ok, open_client, text_of
from support.memory_tickets import MemoryTickets
from support.slow_core import SlowCore, SlowJobs
from support.task_client import Tasks, about, begin

from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import ConflictError, LimitError
from ws_mcp.core.ids import new_ticket_id
from ws_mcp.core.jobs import open_jobs
from ws_mcp.core.policy.acts import Act, Verdict
from ws_mcp.core.tickets import Tickets
from ws_mcp.edge.guards import Guards
from ws_mcp.edge.tasks import HANDLE_S, LONGEST, TASKS

LEGACY, MODERN = MODES
SLOW = ("provision_workspace", "recreate_devcontainer")


@asynccontextmanager
async def open_slow(
    fault: Exception | None = None, wait_s: float = 0, notes: MemoryTickets | None = None
) -> AsyncGenerator[tuple[SlowCore, SlowJobs]]:
    """A core whose jobs end when the test says so; `wait_s`: for which its calls wait."""
    async with open_jobs() as jobs:
        slow = SlowJobs(jobs, wait_s)
        core = SlowCore(slow, fault)
        core.tickets = Tickets(notes or MemoryTickets(), utc_now, new_ticket_id)
        yield core, slow


@asynccontextmanager
async def open_task_client(core: SlowCore, **more: Any) -> AsyncGenerator[Client]:
    async with open_client(core, MODERN, extensions=[Tasks()], **more) as client:
        yield client


async def until_over(client: Client, task: object) -> dict[str, Any]:
    """What a task is when it is over."""
    with anyio.fail_after(30):
        while (seen := await about(client, "tasks/get", task))["status"] == "working":  # noqa: ASYNC110 - a client polls
            await anyio.sleep(0.01)
    return seen


@pytest.mark.parametrize("tool", SLOW)
async def test_a_call_that_takes_long_becomes_a_task_whose_result_is_what_the_call_would_have_answered(
    tool: str,
) -> None:
    async with open_slow() as (core, slow), open_task_client(core) as client:
        task = await begin(client, tool, name="app")
        assert task["status"] == "working"
        assert not task.keys() & {"result", "error", "inputRequests"}
        seen = await about(client, "tasks/get", task["taskId"])
        assert (seen["status"], seen["taskId"]) == ("working", task["taskId"])
        assert seen["statusMessage"].startswith("it: ")
        assert "result" not in seen
        slow.go.set()
        done = await until_over(client, task["taskId"])
        assert done["status"] == "completed"
        result = done["result"]
    async with open_slow(wait_s=60) as (core, slow), open_client(core, MODERN) as client:
        slow.go.set()
        inline = await call(client, tool, name="app")
    assert result["structuredContent"] == inline.structured_content
    assert result["content"] == [
        block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in inline.content
    ]


async def test_what_the_job_does_is_in_the_message_of_its_task() -> None:
    async with open_slow() as (core, slow), open_task_client(core) as client:
        task = await begin(client, "provision_workspace", name="app")
        await slow.begun.wait()
        await slow.say("pulling the image: 3 of 7 layers")
        seen = await about(client, "tasks/get", task["taskId"])
        assert "pulling the image: 3 of 7 layers" in seen["statusMessage"]


async def test_a_client_with_tasks_waits_for_two_seconds_and_others_for_as_long_as_ever(virtual_time: None) -> None:
    async with open_slow(wait_s=45) as (core, _):
        async with open_task_client(core) as client:
            began = anyio.current_time()
            await begin(client, "recreate_devcontainer", name="app")
            assert anyio.current_time() - began == pytest.approx(HANDLE_S, abs=0.5)
        async with open_client(core, MODERN) as client:
            began = anyio.current_time()
            assert (await ok(client, "recreate_devcontainer", name="app"))["change"] == "working"
            assert anyio.current_time() - began == pytest.approx(45, abs=0.5)


@pytest.mark.parametrize("tool", SLOW)
@pytest.mark.parametrize("mode", MODES)
async def test_who_does_not_declare_it_is_told_to_call_again(mode: str, tool: str) -> None:
    async with open_slow() as (core, _), open_client(core, mode) as client:
        assert (await ok(client, tool, name="app"))["change"] == "working"


async def test_the_older_era_has_no_tasks() -> None:
    async with open_slow() as (core, _), open_client(core, LEGACY, extensions=[Tasks()]) as client:
        assert (await ok(client, "provision_workspace", name="app"))["change"] == "working"
        with pytest.raises(MCPError) as refused:
            await about(client, "tasks/get", "t_x")
        assert refused.value.error.code == METHOD_NOT_FOUND


async def test_what_is_quick_or_refused_is_answered_in_line() -> None:
    async with open_slow(wait_s=60) as (core, slow), open_task_client(core) as client:
        slow.go.set()
        assert (await ok(client, "provision_workspace", name="app"))["change"] == "created"
    async with open_slow(ConflictError("it is another"), wait_s=60) as (core, slow), open_task_client(core) as client:
        slow.go.set()
        assert text_of(await call(client, "provision_workspace", name="app")) == "it is another"
        assert (await call(client, "provision_workspace", tier=0)).is_error


async def test_a_job_that_fails_is_a_task_with_the_answer_of_a_tool_that_failed() -> None:
    async with open_slow(ConflictError("it is another")) as (core, slow), open_task_client(core) as client:
        task = await begin(client, "provision_workspace", name="app")
        slow.go.set()
        done = await until_over(client, task["taskId"])
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    assert done["result"]["content"] == [{"type": "text", "text": "it is another"}]
    assert done["result"]["_meta"]["dev.ws-mcp/code"] == "failed_precondition"


async def test_a_bug_in_a_job_gives_nothing_of_it_away(caplog: pytest.LogCaptureFixture) -> None:
    async with open_slow(ZeroDivisionError("secret")) as (core, slow), open_task_client(core) as client:
        task = await begin(client, "recreate_devcontainer", name="app")
        with caplog.at_level(logging.ERROR):
            slow.go.set()
            done = await until_over(client, task["taskId"])
    (block,) = done["result"]["content"]
    assert done["result"]["isError"]
    assert "secret" not in block["text"]
    assert "recreate_devcontainer failed inside ws-mcp (reference " in block["text"]
    assert "ZeroDivisionError: secret" in caplog.text


async def test_equal_calls_of_a_chat_have_one_task() -> None:
    async with open_slow() as (core, _), open_task_client(core) as client:
        first, again = [await begin(client, "provision_workspace", name="app") for _ in range(2)]
    assert first["taskId"] == again["taskId"]
    assert first["createdAt"] == again["createdAt"]


async def test_a_task_that_is_cancelled_ends_its_job() -> None:
    async with open_slow() as (core, slow), open_task_client(core) as client:
        task = await begin(client, "provision_workspace", name="app")
        await slow.begun.wait()
        assert await about(client, "tasks/cancel", task["taskId"]) == {"resultType": "complete"}
        done = await until_over(client, task["taskId"])
        assert done["status"] == "cancelled"
        assert "cancelled its task" in done["statusMessage"]
        assert slow.ended == 1
        again = await about(client, "tasks/cancel", task["taskId"])
        assert again == {"resultType": "complete"}


async def test_a_job_that_somebody_else_waits_for_outlives_a_task_that_is_cancelled() -> None:
    got: list[Any] = []
    async with open_slow(wait_s=60) as (core, slow), open_client(core, MODERN) as waiting:

        async def wait() -> None:
            got.append(await ok(waiting, "provision_workspace", name="app"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await slow.begun.wait()
            slow.wait_s = 0
            async with open_task_client(core) as client:
                task = await begin(client, "provision_workspace", name="app")
                await about(client, "tasks/cancel", task["taskId"])
                seen = await about(client, "tasks/get", task["taskId"])
                assert seen["status"] == "cancelled"
                assert "it goes on, since others wait for it" in seen["statusMessage"]
            slow.go.set()
    assert got[0]["change"] == "created"


async def test_who_did_not_declare_it_may_not_ask_about_tasks() -> None:
    async with open_slow() as (core, _), open_client(core, MODERN) as client:
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError) as refused:
                await about(client, method, "t_x")
            assert refused.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
            assert refused.value.error.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


async def test_a_task_that_cannot_be_written_down_is_none_and_the_job_goes_on() -> None:
    notes = MemoryTickets()
    notes.is_full = True
    async with open_slow(notes=notes) as (core, slow), open_task_client(core) as client:
        assert (await ok(client, "provision_workspace", name="app"))["change"] == "working"
        slow.go.set()
        slow.wait_s = 60
        assert (await ok(client, "provision_workspace", name="app"))["change"] == "created"
        assert slow.ended == 1


async def test_an_answer_that_is_too_long_is_not_kept() -> None:
    fault = ConflictError("x" * LONGEST)
    async with open_slow(fault) as (core, slow), open_task_client(core) as client:
        task = await begin(client, "provision_workspace", name="app")
        slow.go.set()
        done = await until_over(client, task["taskId"])
    (block,) = done["result"]["content"]
    assert done["result"]["isError"]
    assert "too long to be kept: call the tool again" in block["text"]


async def test_answers_that_nobody_waits_for_are_acknowledged() -> None:
    async with open_slow() as (core, _), open_task_client(core) as client:
        task = await begin(client, "provision_workspace", name="app")
        said = await about(client, "tasks/update", task["taskId"], inputResponses={"x": {"action": "accept"}})
        assert said == {"resultType": "complete"}
        assert (await about(client, "tasks/get", task["taskId"]))["status"] == "working"


async def test_the_policy_says_who_may_cancel() -> None:
    def decide(act: Act) -> Verdict:
        return Verdict(is_allowed=act.verb != "tasks/cancel", rule="no", reason="this server is for reading only")

    async with open_slow() as (core, _), open_task_client(core, guards=Guards(decide=decide)) as client:
        task = await begin(client, "provision_workspace", name="app")
        with pytest.raises(MCPError, match="for reading only") as refused:
            await about(client, "tasks/cancel", task["taskId"])
        assert refused.value.error.code == INVALID_REQUEST
        assert (await about(client, "tasks/get", task["taskId"]))["status"] == "working"


async def test_requests_about_tasks_count_like_all_others() -> None:
    @contextmanager
    def admit(act: Act) -> Generator[None]:
        if act.verb.startswith("tasks/"):
            raise LimitError(f"too many: {act.verb}")
        yield

    async with open_slow() as (core, _), open_task_client(core, guards=Guards(admit=admit)) as client:
        task = await begin(client, "provision_workspace", name="app")
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError, match=f"too many: {method}"):
                await about(client, method, task["taskId"])
