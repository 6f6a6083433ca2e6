"""Stops workspaces in which nothing goes on, where that was asked for. Their files stay; a provision starts them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio

from ws_mcp.core.clock import Now
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.workspaces.idle_plan import Activity, Idle, idle_of, is_due
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState

log = logging.getLogger(__name__)

LOOK_S = 15.0  # between two looks: a workspace runs at most so much longer than it was to
ASKS = 8  # execds at once


class IdleWorld(Protocol):
    """What there is to look at, and to stop."""

    async def idle_stops(self) -> Mapping[PlaceId, int]:
        """The workspaces that say themselves after how long they are to be stopped; 0: never."""
        ...

    async def workspaces(self) -> tuple[Workspace, ...]:
        """All container workspaces of the instance; older news will do.

        Raises:
            EngineError
        """
        ...

    async def activity(self, workspace: Workspace, *, is_thorough: bool) -> Activity | None:
        """What goes on in it, None when nobody can tell; only a thorough look says when something last happened."""
        ...

    def is_busy(self, place: PlaceId) -> bool:
        """Whether a call of this server to it is not answered yet."""
        ...

    def lock_if_free(self, place: PlaceId) -> AbstractAsyncContextManager[bool]:
        """Hold the place if nobody does; says whether it is held now."""
        ...

    async def is_as_seen(self, workspace: Workspace) -> bool:
        """Whether this very container runs still, and no server has anything begun with it.

        Raises:
            EngineError
        """
        ...

    async def stop(self, workspace: Workspace) -> None:
        """Stop its container.

        Raises:
            EngineError
        """
        ...


class IdleStops:
    """Remembers since when each workspace is idle, as far as this server has seen it."""

    def __init__(self, world: IdleWorld, default_s: int, now: Now) -> None:
        self._world = world
        self._default_s = default_s
        self._now = now
        self._idle: dict[PlaceId, Idle] = {}

    async def look(self) -> tuple[Workspace, ...]:
        """Look at all once, and stop what is due; returns what was stopped.

        Raises:
            EngineError
        """
        stops = await self._world.idle_stops()
        if not self._default_s and not any(stops.values()):
            return ()  # nobody wants it: then the engine is not asked
        found = [
            workspace
            for workspace in await self._world.workspaces()
            if workspace.state is WorkspaceState.RUNNING and stops.get(workspace.place, self._default_s)
        ]
        self._idle = await self._looked(found)
        now = anyio.current_time()
        due = [each for each in found if is_due(self._idle.get(each.place), self._stop_s(stops, each), now)]
        return tuple([workspace for workspace in due if await self._stopped(workspace)])

    def _stop_s(self, stops: Mapping[PlaceId, int], workspace: Workspace) -> int:
        return stops.get(workspace.place, self._default_s)

    async def _looked(self, workspaces: list[Workspace]) -> dict[PlaceId, Idle]:
        limit = anyio.Semaphore(ASKS)
        idle: dict[PlaceId, Idle] = {}

        async def look(workspace: Workspace) -> None:
            async with limit:
                found = await self._idleness(workspace, is_thorough=workspace.place not in self._idle)
            if found is not None:
                idle[workspace.place] = found

        async with anyio.create_task_group() as tasks:
            for workspace in workspaces:
                tasks.start_soon(look, workspace)
        return idle

    async def _idleness(self, workspace: Workspace, *, is_thorough: bool) -> Idle | None:
        activity = await self._world.activity(workspace, is_thorough=is_thorough)
        return idle_of(
            self._idle.get(workspace.place),
            activity,
            is_busy=self._world.is_busy(workspace.place),
            now=anyio.current_time(),
            wall=self._now(),
        )

    async def _stopped(self, workspace: Workspace) -> bool:
        """Stop it, if under its lock everything is still so; whether it was stopped."""
        place = workspace.place
        async with self._world.lock_if_free(place) as is_held:
            if not is_held or not await self._world.is_as_seen(workspace):
                return False
            stops = await self._world.idle_stops()
            idle = await self._idleness(workspace, is_thorough=True)
            if idle is not None:
                self._idle[place] = idle
            else:
                self._idle.pop(place, None)
            if not is_due(idle, self._stop_s(stops, workspace), anyio.current_time()):
                return False
            log.info("stopping workspace %r: nothing went on in it for a while", workspace.name)
            await self._world.stop(workspace)
        self._idle.pop(place, None)
        return True
