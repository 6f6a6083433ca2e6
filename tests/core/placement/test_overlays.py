"""Networks that span the nodes go when they are nobody's, and only when that is certain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_swarm import FakeSwarm
from support.placement_ground import Cluster, a_swarm, open_server
from support.workspace_ground import SPEC
from support.workspace_values import SCOPE

from ws_mcp.core.engine.swarm_model import OverlaySpec
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.placement.rooms import lock_name
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.sweep_plan import NOT_SHARED
from ws_mcp.core.workspaces.sweeper import GRACE_S, SweepWish, Swept

pytestmark = pytest.mark.anyio

TEAM = replace(SPEC, network="team")
OTHER = replace(TEAM, name=WorkspaceName("other"))
DO = SweepWish(is_dry_run=False)


async def sweep_twice(server: Cluster) -> Swept:
    """As a server does, with the grace between."""
    await server.placement.overlays.sweep_unasked()
    await anyio.sleep(GRACE_S + 1)
    return await server.placement.overlays.sweep_unasked()


async def lose_container(swarm: FakeSwarm, made: Workspace) -> None:
    """Somebody removed it by hand, and its room is swept."""
    assert made.container is not None
    await swarm.engine_of[made.node].remove(made.container)
    await swarm.managers.remove_room(next(iter(swarm.managers.found.values())))


async def test_one_that_no_workspace_uses_goes_after_a_while(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made(TEAM)
        await server.listed()
        assert (await sweep_twice(server)).due == ()
        await lose_container(swarm, made)
        await server.placement.overlays.sweep_unasked()
        assert len(swarm.overlays) == 1, "a moment ago it was somebody's"
        (gone,) = (await sweep_twice(server)).removed
        assert (gone.name[:10], gone.why) == ("wsmcp-net-", NOT_SHARED)
        assert swarm.overlays == {}


async def test_one_of_a_chat_that_is_not_known_goes(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        scope, instance = replace(SCOPE, chat=type(SCOPE.chat)("c_gone")), server.state.instance
        place = server.place(SPEC.name, scope)
        for name, key in ((naming.network_name(instance.id, scope, place, "team"), instance.key), ("wsmcp-net-x", b"")):
            labels = naming.labels_of(
                instance.id, key, kind="network", name=name, scope=scope, workspace=SPEC.name, more={}
            )
            await swarm.managers.create_overlay(OverlaySpec(name=name, labels=labels))
        await server.listed()
        assert len((await sweep_twice(server)).removed) == 1
        assert list(swarm.overlays) == ["wsmcp-net-x"], "what another one made stays"


async def test_a_workspace_that_is_stopped_keeps_its_network(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        first, second = await server.made(TEAM), await server.made(OTHER)
        await server.listed()
        await lose_container(swarm, first)
        assert second.container is not None
        await swarm.engine_of[second.node].stop(second.container, 1)
        assert (await sweep_twice(server)).due == ()
        assert len(swarm.overlays) == 1


async def test_nothing_follows_from_a_node_that_does_not_answer(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made(TEAM)
        await server.listed()
        await swarm.lose(made.hostname)
        await anyio.sleep(30)
        assert (await sweep_twice(server)).due == ()
        swarm.is_leaderless = True
        with pytest.raises(Exception, match="leader"):
            await server.placement.overlays.sweep(DO)
        assert len(swarm.overlays) == 1


async def test_what_somebody_works_on_stays(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made(TEAM)
        await server.listed()
        await lose_container(swarm, made)
        async with server.state.lock(lock_name(made.place)):
            ((_, why),) = (await server.placement.overlays.sweep(DO)).kept
        assert "a server works" in why
        assert (await server.placement.overlays.sweep(replace(DO, prefix="x"))).due == ()
        assert len((await server.placement.overlays.sweep(replace(DO, is_dry_run=True))).due) == 1
        assert len(swarm.overlays) == 1
        assert len((await server.placement.overlays.sweep(DO)).removed) == 1
