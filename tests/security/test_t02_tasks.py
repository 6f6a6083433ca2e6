"""T02: a task is there for its principal only, for a token of one chat only in that chat; to everybody else a foreign
one and one that never was are one answer, byte for byte, and nothing is done to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS
from support.edge_client import PROJECT, ok
from support.slow_core import SlowCore, SlowJobs
from support.task_client import Tasks, about, begin

from ws_mcp.core.ids import Principal, PrincipalId, new_ticket_id
from ws_mcp.core.jobs import open_jobs
from ws_mcp.server import build_server

pytestmark = pytest.mark.usefixtures("real_io")

ALICE, BOB = Principal(id=PrincipalId("alice")), Principal(id=PrincipalId("bob"))
METHODS: dict[str, dict[str, object]] = {
    "tasks/get": {},
    "tasks/update": {"inputResponses": {}},
    "tasks/cancel": {},
}
SLOW = ("provision_workspace", "recreate_devcontainer")


@dataclass(kw_only=True)
class Stage:
    """One server, and who speaks now."""

    client: Client
    slow: SlowJobs
    who: Principal = ALICE

    async def refusals(self, task: object) -> list[str]:
        """What every request about a task is refused with, as it was sent, without the id that was asked for."""
        said: list[str] = []
        for method, more in METHODS.items():
            with pytest.raises(MCPError) as refused:
                await about(self.client, method, task, **more)
            assert refused.value.error.code == INVALID_PARAMS
            said.append(refused.value.error.model_dump_json())
        return said


@asynccontextmanager
async def open_stage() -> AsyncGenerator[Stage]:
    async with open_jobs() as jobs:
        slow = SlowJobs(jobs, 0)
        server = build_server(SlowCore(slow, None), default_hint=PROJECT, principal_of=lambda: stage.who)
        async with Client(server, mode="2026-07-28", extensions=[Tasks()]) as client:
            stage = Stage(client=client, slow=slow)
            yield stage


async def until_over(stage: Stage, task: object) -> dict[str, Any]:
    with anyio.fail_after(30):
        while (seen := await about(stage.client, "tasks/get", task))["status"] == "working":  # noqa: ASYNC110 - a client polls
            await anyio.sleep(0.01)
    return seen


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize("tool", SLOW)
async def test_a_foreign_task_is_an_unknown_one_and_stays_as_it_is(tool: str, *, is_over: bool) -> None:
    async with open_stage() as stage:
        task = (await begin(stage.client, tool, name="app"))["taskId"]
        if is_over:
            stage.slow.go.set()
            await until_over(stage, task)
        stage.who = BOB
        unknown = await stage.refusals(new_ticket_id())
        assert await stage.refusals(task) == unknown
        assert await stage.refusals("t_x") == unknown
        stage.who = ALICE
        stage.slow.go.set()
        assert (await until_over(stage, task))["status"] == "completed"
        assert stage.slow.ended == 1


async def test_a_task_is_not_for_the_token_of_another_chat_of_its_principal() -> None:
    one, other = (Principal(id=ALICE.id, chat=chat) for chat in ("one", "other"))
    async with open_stage() as stage:
        stage.who = one
        task = (await begin(stage.client, "provision_workspace", name="app"))["taskId"]
        stage.who = other
        unknown = await stage.refusals(new_ticket_id())
        assert await stage.refusals(task) == unknown
        for who in (one, ALICE):
            stage.who = who
            assert (await about(stage.client, "tasks/get", task))["status"] == "working"


async def test_two_principals_at_one_dev_container_have_a_task_each_and_neither_ends_the_others() -> None:
    async with open_stage() as stage:
        first = (await begin(stage.client, "recreate_devcontainer", name="app"))["taskId"]
        stage.who = BOB
        second = (await begin(stage.client, "recreate_devcontainer", name="app"))["taskId"]
        assert first != second
        await about(stage.client, "tasks/cancel", second)
        assert (await about(stage.client, "tasks/get", second))["status"] == "cancelled"
        stage.who = ALICE
        assert (await about(stage.client, "tasks/get", first))["status"] == "working"
        stage.slow.go.set()
        assert (await until_over(stage, first))["status"] == "completed"
        assert (await ok(stage.client, "list_containers"))["chat"]
