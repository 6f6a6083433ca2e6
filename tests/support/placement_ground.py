"""Workspaces on a fake swarm, without execds: what is inside is said by the test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from support.fake_swarm import FakeSwarm
from support.workspace_ground import OLD, SPEC, FakeInside, quiet
from support.workspace_values import SCOPE
from ws_mcp.core.changes import Changes
from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.model import Image
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.placement.opening import Placement, Swarm, open_cluster
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.keeping import Keeping
from ws_mcp.core.workspaces.model import Ask, Provisioned, Workspace, WorkspaceSpec
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.service import ContainerWorkspaces
from ws_mcp.core.workspaces.site import Site
from ws_mcp.core.workspaces.watch import open_watch


class Cluster:
    """One server's view of the swarm."""

    def __init__(self, swarm: FakeSwarm, state: State, placement: Placement, inside: FakeInside) -> None:
        self.swarm = swarm
        self.state = state
        self.placement = placement
        self.workspaces = placement.workspaces
        self.inside = inside

    async def provision(self, spec: WorkspaceSpec = SPEC, ask: Ask = Ask(), scope: Scope = SCOPE) -> Provisioned:  # noqa: B008 - frozen
        return await self.workspaces.provision(scope, spec, ask, quiet)

    async def made(self, spec: WorkspaceSpec = SPEC, scope: Scope = SCOPE) -> Workspace:
        """A workspace that must be there then."""
        workspace = (await self.provision(spec, scope=scope)).workspace
        assert workspace is not None
        return workspace

    async def listed(self, scope: Scope = SCOPE) -> tuple[Workspace, ...]:
        """The workspaces of a chat."""
        return (await self.placement.watch.list()).of(scope)

    async def noticed(self) -> None:
        """Wait until the managers were looked at once more: events come a moment later."""
        await self.placement.survey.looks.settled(is_fresh=True)

    def place(self, name: WorkspaceName, scope: Scope = SCOPE) -> PlaceId:
        """Of a workspace, whether or not it exists."""
        return naming.place_name(self.state.instance.id, scope, name)


def a_swarm(nodes: int = 3) -> FakeSwarm:
    """A swarm whose nodes all have one image."""
    swarm = FakeSwarm(nodes)
    for engine in swarm.engine_of.values():
        engine.add_image(Image(id=OLD, tags=("img:1",), architecture="amd64", command=("sleep", "inf")))
    return swarm


@asynccontextmanager
async def open_server(
    swarm: FakeSwarm,
    path: Path,
    rules: WorkspaceRules | None = None,
    constraints: tuple[str, ...] = (),
    changes: Changes | None = None,
    *,
    state_of: Callable[[State], State] = lambda state: state,
) -> AsyncGenerator[Cluster]:
    """A server on the state directory in `path`; `state_of`: as what it sees the state that is there."""
    inside = FakeInside()
    doors = Swarm(managers=swarm.managers, engines=swarm.engines, constraints=constraints)
    told = changes or Changes()
    async with open_state(path / "state") as opened:
        state = state_of(opened)

        @asynccontextmanager
        async def open_node(engine: Engine, site: Site) -> AsyncGenerator[Keeping]:
            workspaces = ContainerWorkspaces(engine, state, rules_of, inside, utc_now, site=site)
            async with open_watch(engine, state.instance, told, site) as watch:
                yield Keeping(workspaces=workspaces, watch=watch)

        def rules_of(_: object) -> WorkspaceRules:
            return rules or WorkspaceRules()

        async with open_cluster(
            doors, state, rules_of, open_node, changes=told, now=utc_now, ages=utc_now
        ) as placement:
            yield Cluster(swarm, state, placement, inside)


async def left_over(swarm: FakeSwarm) -> list[str]:
    """All that carries a workspace's labels: rooms, and what is on any node."""
    found = [room.spec.name for room in swarm.managers.found.values()]
    for engine in swarm.engine_of.values():
        found += [container.spec.name for container in engine.containers.values()]
        found += [name for name, volume in engine.volumes.items() if naming.WORKSPACE in volume.volume.labels]
        found += [name for name, network in engine.networks.items() if naming.WORKSPACE in network.labels]
    return sorted(set(found))
