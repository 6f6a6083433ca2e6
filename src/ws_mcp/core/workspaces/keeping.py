"""The tasks that keep container workspaces as they should be: the kept list, the sweep, idle stops."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import anyio

from ws_mcp.core.changes import Changes
from ws_mcp.core.clock import Now
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineNotFoundError, EngineUnavailableError, WsError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.places import Places
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.repeat import repeat
from ws_mcp.core.state import State
from ws_mcp.core.workspaces.execd_inside import ExecdInside, address_of
from ws_mcp.core.workspaces.idle import LOOK_S, IdleStops
from ws_mcp.core.workspaces.idle_plan import Activity
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.service import ContainerWorkspaces
from ws_mcp.core.workspaces.sweeper import Sweeper, open_sweeping
from ws_mcp.core.workspaces.watch import Watch, open_watch

STOP_GRACE_S = 10.0
LISTED = 1000
LIST_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """The container workspaces of an instance, and the list of them that is kept."""

    workspaces: ContainerWorkspaces
    watch: Watch


class EngineIdleWorld:
    """See `idle.IdleWorld`."""

    def __init__(self, engine: Engine, state: State, ledger: Ledger, watch: Watch, places: Places) -> None:
        self._engine = engine
        self._state = state
        self._ledger = ledger
        self._watch = watch
        self._places = places

    async def idle_stops(self) -> Mapping[PlaceId, int]:
        return await self._ledger.idle_stops()

    async def workspaces(self) -> tuple[Workspace, ...]:
        sight = await self._watch.list()
        if sight.age_s is None:
            raise EngineUnavailableError(sight.unknown)
        return tuple(workspace for chat in sight.workspaces.values() for workspace in chat)

    async def activity(self, workspace: Workspace, *, is_thorough: bool) -> Activity | None:
        try:
            client = await self._places.client(address_of(workspace))
            running = (await client.stats()).running
            last_at = await _last_of(client) if is_thorough else None
        except WsError:
            return None
        return Activity(boot=client.boot, running=running, last_at=last_at)

    def is_busy(self, place: PlaceId) -> bool:
        return self._places.is_busy(place)

    def lock_if_free(self, place: PlaceId) -> AbstractContextManager[bool]:
        return self._state.lock_if_free(place)

    async def is_as_seen(self, workspace: Workspace) -> bool:
        try:
            found = await self._engine.inspect(workspace.place)
        except EngineNotFoundError:
            return False
        is_same = found.id == workspace.container and found.state is ContainerState.RUNNING
        return is_same and await self._ledger.intent(workspace.place) is None

    async def stop(self, workspace: Workspace) -> None:
        if workspace.container is not None:
            await self._engine.stop(workspace.container, STOP_GRACE_S)


@asynccontextmanager
async def open_keeping(
    engine: Engine, state: State, places: Places, rules: WorkspaceRules, *, changes: Changes, now: Now
) -> AsyncGenerator[Keeping]:
    """Own the tasks; none asks the engine before somebody asks for a container."""
    ledger = Ledger(state, now)
    workspaces = ContainerWorkspaces(engine, state, rules, ExecdInside(places, ledger), now)
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(open_watch(engine, state.instance, changes))
        sweeper = Sweeper(engine, state, ledger, now)
        await stack.enter_async_context(open_sweeping(sweeper, workspaces.repair, lambda: watch.is_begun))
        world = EngineIdleWorld(engine, state, ledger, watch, places)
        await stack.enter_async_context(_open_idle_stops(IdleStops(world, rules.idle_stop_s, now)))
        yield Keeping(workspaces=workspaces, watch=watch)


@asynccontextmanager
async def _open_idle_stops(stops: IdleStops) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(repeat, "the stop of idle workspaces", LOOK_S, stops.look)
        yield
        tasks.cancel_scope.cancel()


async def _last_of(client: ExecdClient) -> datetime | None:
    """When the last process there began or ended."""
    reply = await client.call("list", {"all": True, "limit": LISTED, "receipts": True}, timeout_s=LIST_S)
    processes = cast("list[Mapping[str, object]]", reply.header.get("processes") or [])
    moments = [process.get(name) for process in processes for name in ("started_at_ms", "ended_at_ms")]
    known = [moment for moment in moments if isinstance(moment, int)]
    return datetime.fromtimestamp(max(known) / 1000, UTC) if known else None
