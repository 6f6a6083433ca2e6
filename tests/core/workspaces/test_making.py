"""A limit of workspaces holds for calls of one moment, too; and one that failed takes no place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.placement_ground import a_swarm
from support.placement_ground import open_server as open_cluster
from support.workspace_ground import SPEC, an_engine, open_service

from ws_mcp.core.errors import EngineTimeoutError, LimitError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces.model import Workspace, WorkspaceSpec
from ws_mcp.core.workspaces.rules import WorkspaceRules

pytestmark = pytest.mark.anyio
TWO = WorkspaceRules(workspaces=2)
Make = Callable[[WorkspaceSpec], Awaitable[Workspace]]


async def refused(make: Make) -> int:
    """How many of five calls of one moment are."""
    refusals: list[str] = []

    async def one(name: str) -> None:
        try:
            await make(replace(SPEC, name=WorkspaceName(name)))
        except LimitError as error:
            refusals.append(str(error))

    async with anyio.create_task_group() as tasks:
        for name in "abcde":
            tasks.start_soon(one, name)
    assert all("as many as it may (2)" in refusal for refusal in refusals)
    return len(refusals)


async def test_of_five_calls_of_one_moment_two_get_the_two_places_of_an_engine(tmp_path: Path) -> None:
    async with open_service(an_engine(), tmp_path, TWO) as service:
        assert await refused(service.made) == 3
        assert len(await service.workspaces.list_all()) == 2


async def test_of_five_calls_of_one_moment_two_get_the_two_places_of_a_swarm(tmp_path: Path) -> None:
    async with open_cluster(a_swarm(), tmp_path, TWO) as server:
        assert await refused(server.made) == 3
        assert len(await server.listed()) == 2


async def test_one_that_could_not_be_made_takes_no_place(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path, WorkspaceRules(workspaces=1)) as service:
        fake.fail_next("create", EngineTimeoutError("it takes long"))
        with pytest.raises(EngineTimeoutError):
            await service.made()
        await service.made(replace(SPEC, name=WorkspaceName("other")))
