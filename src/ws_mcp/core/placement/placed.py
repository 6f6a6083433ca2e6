"""Container workspaces on many nodes: finds the node of each, and lets it be stopped, read and removed there."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from ws_mcp.core.clock import Now
from ws_mcp.core.engine.swarm_model import HERE, NodeId
from ws_mcp.core.errors import EngineError, WsError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.placement.keepers import Keeper, Keepers
from ws_mcp.core.placement.placing import Placing
from ws_mcp.core.placement.rooms import CLEAN_UP_S, Rooms, lock_name
from ws_mcp.core.placement.sights import All, ClusterSights
from ws_mcp.core.placement.survey import Survey
from ws_mcp.core.state import State
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.builder import Report
from ws_mcp.core.workspaces.disk_holds import DiskHolds
from ws_mcp.core.workspaces.file_access import StoppedFiles
from ws_mcp.core.workspaces.model import Ask, Probe, Provisioned, Workspace, WorkspaceSpec
from ws_mcp.core.workspaces.objects import data_of
from ws_mcp.core.workspaces.readiness import Readiness
from ws_mcp.core.workspaces.rules import RulesOf

log = logging.getLogger(__name__)


class ClusterWorkspaces:
    """See `ws_mcp.core.workspaces.port.Containers`."""

    def __init__(
        self,
        state: State,
        rules_of: RulesOf,
        sights: ClusterSights,
        survey: Survey,
        keepers: Keepers,
        *,
        rooms: Rooms,
        placing: Placing,
        now: Now,
    ) -> None:
        self._state = state
        self._rules_of = rules_of
        self._sights = sights
        self._survey = survey
        self._keepers = keepers
        self._rooms = rooms
        self._placing = placing
        self._holds = DiskHolds(state, now)

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        rules = self._rules_of(scope.principal)  # once: what is checked is what is used
        return await self._placing.provision(scope, spec, ask, rules, report)

    async def list_all(self) -> All:
        return await self._sights.all()

    async def find(self, scope: Scope, name: WorkspaceName) -> Workspace | None:
        await self._survey.known()
        place = self._place(scope, name)
        room = self._survey.rooms.get(place)
        if room is not None and room.spec.node:
            found = await (await self._at(room.spec.node)).keeping.workspaces.find(scope, name)
            if found is not None:
                return found
        # What was known is older than the question.
        node = await self._rooms.node_of(place)
        if node == HERE:
            return None
        return await (await self._at(node)).keeping.workspaces.find(scope, name)

    async def shown(self, found: tuple[Workspace, ...]) -> tuple[Workspace, ...]:
        return await self._holds.shown(found)

    async def data(self) -> tuple[tuple[Scope, WorkspaceName], ...]:
        """On lost nodes whatever has a room counts: nobody can tell whether it has data."""
        await self._survey.known()
        found: set[tuple[Scope, WorkspaceName]] = set()
        answered: set[NodeId] = set()
        failures: list[EngineError] = []

        async def ask(keeper: Keeper) -> None:
            try:
                found.update(await data_of(keeper.engine, self._state.instance))
            except EngineError as error:
                failures.append(error)
            else:
                answered.add(keeper.id)

        async with anyio.create_task_group() as tasks:
            for keeper in await self._keepers.opened():
                if not keeper.why:
                    tasks.start_soon(ask, keeper)
        if failures:
            raise failures[0]
        # By who answered, and not by who answers now: one can be back since.
        lost = [room.spec.labels for room in self._survey.rooms.values() if room.node not in answered]
        found |= {(naming.scope_of(labels), WorkspaceName(labels[naming.WORKSPACE])) for labels in lost}
        return tuple(sorted(found, key=lambda each: (each[0].principal, each[0].chat, each[1])))

    async def readiness(self, workspace: Workspace, client: ExecdClient, probe: Probe) -> Readiness:
        keeper = await self._at(workspace.node)
        return await keeper.keeping.workspaces.readiness(workspace, client, probe)

    async def stop(self, workspace: Workspace) -> None:
        keeper = await self._at(workspace.node)
        await keeper.keeping.workspaces.stop(workspace)
        _changed(keeper)

    @asynccontextmanager
    async def stopped_files(self, workspace: Workspace) -> AsyncGenerator[StoppedFiles]:
        keeper = await self._at(workspace.node)
        async with keeper.keeping.workspaces.stopped_files(workspace) as files:
            yield files

    async def remove(self, workspace: Workspace, *, keep_volume: bool) -> str:
        place = workspace.place
        async with self._state.lock(lock_name(place)) as lock:
            keeper = await self._at(workspace.node)
            kept = await keeper.keeping.workspaces.remove(workspace, keep_volume=keep_volume)
            _changed(keeper)
            await self._give_up(place, lock, keeps_data=bool(kept))
        return kept

    async def remove_data(self, scope: Scope, name: WorkspaceName) -> bool:
        await self._survey.known()
        place = self._place(scope, name)
        async with self._state.lock(lock_name(place)) as lock:
            node = await self._rooms.node_of(place)
            if node == HERE:
                return False
            had_any = await (await self._at(node)).keeping.workspaces.remove_data(scope, name)
            await self._give_up(place, lock, keeps_data=False)
        return had_any

    async def _give_up(self, place: PlaceId, lock: Lock, *, keeps_data: bool) -> None:
        """What it held; the workspace is gone already, so that a failure here is only swept later."""
        with lock.shield(CLEAN_UP_S):
            try:
                room = await self._rooms.find(place)
                if not await lock.still_held():
                    return  # the room is another server's by now
                if room is not None and keeps_data:
                    await self._rooms.let_go(room)
                elif room is not None:
                    await self._rooms.release(place)
            except WsError as error:
                log.warning("the room of %s is left until a manager answers: %s", place, error)

    async def _at(self, node: NodeId) -> Keeper:
        await self._survey.known()
        await self._keepers.opened()
        return self._keepers.answering(node)

    def _place(self, scope: Scope, name: WorkspaceName) -> PlaceId:
        return naming.place_name(self._state.instance.id, scope, name)


def _changed(keeper: Keeper) -> None:
    """Who asks for the list from now on sees what was done there."""
    if keeper.keeping.watch.is_begun:
        keeper.keeping.watch.look_soon()
