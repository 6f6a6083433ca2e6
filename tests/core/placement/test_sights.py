"""The one list of all nodes: what is said of nodes that are lost, never looked at, given up, or back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.placement_ground import a_swarm, open_server
from support.workspace_ground import SPEC
from support.workspace_values import SCOPE

from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces.model import Sizes, WorkspaceState

pytestmark = pytest.mark.anyio
UNKNOWN, RUNNING = WorkspaceState.UNKNOWN, WorkspaceState.RUNNING


async def test_a_lost_node_makes_its_workspaces_unknown_and_those_of_others_stay(
    tmp_path: Path, virtual_time: None
) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = [await server.made(replace(SPEC, name=WorkspaceName(f"w{n}"))) for n in range(3)]
        await server.listed()
        await swarm.lose(made[1].hostname)
        await server.noticed()
        seen = await server.listed()
        assert [each.state for each in seen] == [RUNNING, UNKNOWN, RUNNING]
        assert made[1].hostname in seen[1].obstacle
        assert "heartbeat failure" in seen[1].obstacle
        assert "ws-mcp replace" in seen[1].obstacle
        assert (await server.placement.watch.list()).unknown == ""
        with pytest.raises(EngineUnavailableError, match="heartbeat failure"):
            await server.workspaces.find(SCOPE, made[1].name)
        with pytest.raises(EngineUnavailableError, match="heartbeat failure"):
            await server.provision(replace(SPEC, name=made[1].name))
        swarm.bring_back(made[1].hostname)
        await anyio.sleep(1)
        assert [each.state for each in await server.listed()] == [RUNNING] * 3
        assert [each.container for each in await server.listed()] == [each.container for each in made]


async def test_a_server_that_starts_while_a_node_is_lost_knows_what_is_there(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        first = await server.made()
    await swarm.lose(first.hostname)
    async with open_server(swarm, tmp_path) as server:
        [seen] = await server.listed()
        assert (seen.name, seen.state, seen.hostname, seen.limits.memory_bytes) == (
            "main",
            UNKNOWN,
            first.hostname,
            512 << 20,
        )
        with pytest.raises(EngineUnavailableError):
            await server.provision()
        swarm.bring_back(first.hostname)
        await server.noticed()
        assert [(each.state, each.container) for each in await server.listed()] == [(RUNNING, first.container)]


async def test_a_node_that_only_this_server_cannot_reach_is_unknown_soon(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        first = await server.made()
        await server.listed()
        await swarm.cut_off(first.hostname)
        await anyio.sleep(5)
        [seen] = await server.listed()
        assert seen.state is UNKNOWN
        assert "cannot be reached from here" in seen.obstacle
        swarm.bring_back(first.hostname)
        await anyio.sleep(10)
        assert [each.state for each in await server.listed()] == [RUNNING]


async def test_a_node_that_was_removed_from_the_swarm_is_unknown(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        first = await server.made()
        await server.listed()
        swarm.remove_node(first.hostname)
        await server.noticed()
        [seen] = await server.listed()
        assert (seen.state, "removed from the swarm" in seen.obstacle) == (UNKNOWN, True)
    async with open_server(swarm, tmp_path) as server:
        [seen] = await server.listed()
        assert (seen.state, "removed from the swarm" in seen.obstacle) == (UNKNOWN, True)


async def test_without_managers_what_is_known_stands_and_the_list_says_that_it_is_not_whole(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        first = await server.made()
        assert (await server.placement.watch.list()).unknown == ""
        swarm.is_leaderless = True
        await server.noticed()
        sight = await server.placement.watch.list()
        assert "does not have a leader" in sight.unknown
        assert [each.state for each in sight.of(SCOPE)] == [RUNNING]
        found = await server.workspaces.find(SCOPE, first.name)
        assert found is not None
        with pytest.raises(EngineUnavailableError):
            await server.workspaces.find(SCOPE, WorkspaceName("other"))
    async with open_server(swarm, tmp_path) as server:
        sight = await server.placement.watch.list()
        assert (sight.of(SCOPE), sight.age_s) == ((), None)
        assert sight.unknown
        with pytest.raises(EngineUnavailableError):
            await server.workspaces.find(SCOPE, first.name)
        with pytest.raises(EngineUnavailableError):
            await server.workspaces.list_all()


async def test_who_watches_is_told_that_a_node_was_lost_and_is_back(tmp_path: Path, virtual_time: None) -> None:
    swarm, told = a_swarm(), list[Change]()
    changes = Changes()
    changes.listen(told.append)
    async with open_server(swarm, tmp_path, changes=changes) as server:
        first = await server.made()
        await server.listed()
        told.clear()
        await swarm.lose(first.hostname)
        await anyio.sleep(1)
        assert Change(subject=Subject.CONTAINERS, chat=SCOPE.chat) in told
        told.clear()
        swarm.bring_back(first.hostname)
        await anyio.sleep(10)
        assert Change(subject=Subject.CONTAINERS, chat=SCOPE.chat) in told


async def test_a_long_list_comes_from_what_is_kept(tmp_path: Path, real_io: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        for number in range(12):
            await server.made(replace(SPEC, name=WorkspaceName(f"w{number}"), sizes=Sizes(cpus=0.1)))
        await server.listed()
        swarm.managers.calls.clear()
        for engine in swarm.engine_of.values():
            engine.calls.clear()
        first = await server.placement.watch.list()
        for _ in range(10):
            assert (await server.placement.watch.list()).workspaces is first.workspaces
        assert [swarm.managers.calls, *(engine.calls for engine in swarm.engine_of.values())] == [[], [], [], []]
