"""Opens placement: the managers, the nodes, what is kept of each, and the upkeep of rooms."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio

from ws_mcp.core.ages import Ages
from ws_mcp.core.changes import Changes
from ws_mcp.core.clock import Now
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.swarm_model import SwarmNode
from ws_mcp.core.engine.swarm_port import Managers, NodeEngines
from ws_mcp.core.execd.places import Places
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.own_acts import OwnActs
from ws_mcp.core.placement.keepers import Keepers, open_keepers
from ws_mcp.core.placement.overlays import Overlays
from ws_mcp.core.placement.placed import ClusterWorkspaces
from ws_mcp.core.placement.placing import Placing
from ws_mcp.core.placement.rooms import Rooms
from ws_mcp.core.placement.sights import ClusterSights
from ws_mcp.core.placement.survey import Survey, open_survey
from ws_mcp.core.placement.upkeep import LOOK_S, Upkeep
from ws_mcp.core.repeat import repeat
from ws_mcp.core.state import State
from ws_mcp.core.workspaces.keeping import Keeping, open_keeping
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.rules import RulesOf, WorkspaceRules
from ws_mcp.core.workspaces.site import LOOPBACK, ONLY, Site
from ws_mcp.core.workspaces.sweeper import SWEEP_S

NOWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what a swarm of one machine may say of its address


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """The doors to a swarm. `constraints`: where the operator lets workspaces be, as Swarm writes it."""

    managers: Managers
    engines: NodeEngines
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The workspaces on all nodes, the kept list of them, and what an operator's commands work with."""

    workspaces: ClusterWorkspaces
    watch: ClusterSights
    survey: Survey
    keepers: Keepers
    rooms: Rooms
    upkeep: Upkeep
    overlays: Overlays


OpenNode = Callable[[Engine, Site], AbstractAsyncContextManager[Keeping]]
"""Opens what is kept for a node."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the keeping of workspaces works with, wherever they are. `defaults`: what they may be without a policy."""

    state: State
    places: Places
    rules_of: RulesOf
    defaults: WorkspaceRules
    acts: OwnActs
    changes: Changes
    ages: Ages

    def open_on(self, engine: Engine, site: Site = ONLY) -> AbstractAsyncContextManager[Keeping]:
        """What is kept for one engine."""
        return open_keeping(
            engine,
            self.state,
            self.places,
            self.rules_of,
            self.defaults,
            acts=self.acts,
            changes=self.changes,
            ages=self.ages,
            site=site,
        )


@asynccontextmanager
async def open_placement(swarm: Swarm, ground: Ground) -> AsyncGenerator[Placement]:
    """Own the tasks; nobody is asked anything before somebody asks for a container."""

    async def sweep() -> None:
        if placement.survey.is_begun:
            await placement.overlays.sweep_unasked()

    opened = open_cluster(
        swarm,
        ground.state,
        ground.rules_of,
        ground.open_on,
        changes=ground.changes,
        now=ground.ages.wall,
        ages=ground.ages,
    )
    async with opened as placement, anyio.create_task_group() as tasks:
        tasks.start_soon(repeat, "the upkeep of rooms", LOOK_S, placement.upkeep.look)
        tasks.start_soon(repeat, "the sweep of networks", SWEEP_S, sweep)
        yield placement
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_cluster(
    swarm: Swarm,
    state: State,
    rules_of: RulesOf,
    open_node: OpenNode,
    *,
    changes: Changes,
    now: Now,
    ages: Now,
) -> AsyncGenerator[Placement]:
    """The same without the upkeep, and with whatever is kept for each node."""

    def followed() -> None:
        keepers.follow(survey.nodes)
        sights.changed()

    def told() -> None:
        if survey.is_begun:
            survey.looks.soon()  # that node may be the manager whose events were heard
        sights.changed()

    def open_one(node: SwarmNode, engine: Engine) -> AbstractAsyncContextManager[Keeping]:
        return open_node(engine, site_of(node, rooms))

    async with AsyncExitStack() as stack:
        survey = await stack.enter_async_context(open_survey(swarm.managers, state.instance, followed))
        rooms = Rooms(swarm.managers, survey, state.instance, swarm.constraints)
        opened = open_keepers(swarm.engines, open_one, told, now)
        keepers = await stack.enter_async_context(opened)
        sights = ClusterSights(survey, keepers, changes)
        ledger = Ledger(state, ages)
        upkeep = Upkeep(state, ledger, survey, keepers, rooms=rooms, sights=sights, now=now)
        placing = Placing(state, ledger, survey, keepers, rooms=rooms, upkeep=upkeep)
        workspaces = ClusterWorkspaces(state, rules_of, sights, survey, keepers, rooms=rooms, placing=placing, now=ages)
        yield Placement(
            workspaces=workspaces,
            watch=sights,
            survey=survey,
            keepers=keepers,
            rooms=rooms,
            upkeep=upkeep,
            overlays=Overlays(swarm.managers, state, ledger, keepers),
        )


def site_of(node: SwarmNode, rooms: Rooms) -> Site:
    """A node among the engines of an instance."""

    async def is_mine(place: PlaceId) -> bool:
        return await rooms.node_of(place) == node.id

    address = node.address if node.address not in NOWHERE else LOOPBACK
    return Site(node=node.id, hostname=node.hostname, address=address, is_mine=is_mine)
