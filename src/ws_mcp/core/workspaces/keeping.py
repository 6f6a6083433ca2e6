"""The tasks that keep container workspaces as they should be: the kept list, the sweep, idle stops, disk quota."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio

from ws_mcp.core.ages import Ages
from ws_mcp.core.changes import Changes
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.execd.places import Places
from ws_mcp.core.own_acts import OwnActs
from ws_mcp.core.repeat import repeat
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import disk, idle
from ws_mcp.core.workspaces.disk import DiskQuota
from ws_mcp.core.workspaces.execd_inside import ExecdInside, address_of
from ws_mcp.core.workspaces.idle_world import LiveIdleWorld
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.rules import RulesOf, WorkspaceRules
from ws_mcp.core.workspaces.service import ContainerWorkspaces
from ws_mcp.core.workspaces.site import ONLY, Site
from ws_mcp.core.workspaces.sweeper import Sweeper, open_sweeping
from ws_mcp.core.workspaces.watch import Watch, open_watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """The container workspaces of an instance on one engine, and the list of them that is kept."""

    workspaces: ContainerWorkspaces
    watch: Watch


@asynccontextmanager
async def open_keeping(
    engine: Engine,
    state: State,
    places: Places,
    rules_of: RulesOf,
    defaults: WorkspaceRules,
    *,
    acts: OwnActs,
    changes: Changes,
    ages: Ages,
    site: Site = ONLY,
) -> AsyncGenerator[Keeping]:
    """Own the tasks; none asks the engine before somebody asks for a container."""
    ledger = Ledger(state, ages)
    workspaces = ContainerWorkspaces(engine, state, rules_of, ExecdInside(engine, places, ledger), ages, site=site)
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(open_watch(engine, state.instance, changes, site))
        sweeper = Sweeper(engine, state, ledger, ages.wall, site)

        async def repair() -> int:
            if repaired := await workspaces.repair():
                watch.look_soon()  # its events may not be heard
            return repaired

        await stack.enter_async_context(open_sweeping(sweeper, repair, lambda: watch.is_begun and not state.damage))
        world = LiveIdleWorld(
            engine,
            state,
            ledger,
            watch,
            places=places,
            acts=acts,
            client_of=lambda workspace: places.client(address_of(workspace)),
        )
        stops = idle.IdleStops(world, defaults.idle_stop_s, ages.wall)
        quota = DiskQuota(engine, state, ledger, watch, acts=acts, quota_mib=defaults.volume_mib, now=ages)
        await stack.enter_async_context(_open_looks(acts, state, stops, quota))
        yield Keeping(workspaces=workspaces, watch=watch)


@asynccontextmanager
async def _open_looks(acts: OwnActs, state: State, stops: idle.IdleStops, quota: DiskQuota) -> AsyncGenerator[None]:
    async def look_on(what: str, every_s: float, look: Callable[[], Awaitable[object]]) -> None:
        async def look_if_whole() -> None:
            if not state.damage:
                await look()

        await acts.begun()
        await repeat(what, every_s, look_if_whole)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look_on, "the stop of idle workspaces", idle.LOOK_S, stops.look)
        tasks.start_soon(look_on, "the look at the sizes of data", disk.LOOK_S, quota.look)
        yield
        tasks.cancel_scope.cancel()
