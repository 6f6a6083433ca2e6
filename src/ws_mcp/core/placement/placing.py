"""Provision on many nodes: a room first, then the workspace where the room is; what fails leaves no room behind."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from ws_mcp.core.engine.swarm_model import HERE, NodeId, Room
from ws_mcp.core.errors import (
    ConflictError,
    EngineError,
    EngineUnavailableError,
    ImageNotFoundError,
    WsError,
)
from ws_mcp.core.execd.hold import hold_image
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.placement.holding import ensure_everywhere
from ws_mcp.core.placement.keepers import Keeper, Keepers
from ws_mcp.core.placement.plan import check_placeable, had_by, is_as_wanted, wanted_of
from ws_mcp.core.placement.remains import anything_of, recorded_at
from ws_mcp.core.placement.rooms import CLEAN_UP_S, Rooms, lock_name
from ws_mcp.core.placement.survey import Survey
from ws_mcp.core.placement.upkeep import Upkeep
from ws_mcp.core.state import State
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.builder import Report
from ws_mcp.core.workspaces.checks import check_spec
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.making import Making
from ws_mcp.core.workspaces.model import Ask, Provisioned, Workspace, WorkspaceSpec
from ws_mcp.core.workspaces.rules import WorkspaceRules

log = logging.getLogger(__name__)


class Placing:
    """Provisions of one instance."""

    def __init__(
        self, state: State, ledger: Ledger, survey: Survey, keepers: Keepers, *, rooms: Rooms, upkeep: Upkeep
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._survey = survey
        self._keepers = keepers
        self._rooms = rooms
        self._upkeep = upkeep
        self._making = Making()

    async def provision(
        self, scope: Scope, spec: WorkspaceSpec, ask: Ask, rules: WorkspaceRules, report: Report
    ) -> Provisioned:
        """See `ws_mcp.core.workspaces.port.Containers`."""
        check_spec(spec)
        check_placeable(spec, rules)
        place = naming.place_name(self._state.instance.id, scope, spec.name)
        wanted_of(scope, place, spec, None, rules)  # refused before anybody is asked anything
        await self._survey.known()
        unsure = await self._upkeep.adopt()  # what a node has without a room gets one: it is not made a second time
        if ask.is_dry_run:
            return await self._foretold(scope, spec, ask, report)
        async with self._state.lock(lock_name(place)) as lock:
            before = await self._rooms.find(place)
            try:
                if before is None:
                    await self._check_nowhere(spec.name, place, unsure)
                    self._check_count(scope, place, rules)
                    await report("finding a node", 0.02)
                room = await self._room(scope, spec, before, rules, lock)
                return await self._made(scope, spec, ask, report, before=before, room=room, lock=lock)
            finally:
                self._making.end(scope, place)

    async def _check_nowhere(self, name: WorkspaceName, place: PlaceId, unsure: Iterable[NodeId]) -> None:
        """That it is on none of the nodes where not all has a room yet."""
        for keeper in filter(None, map(self._keepers.get, unsure)):
            try:
                is_there = not keeper.why and await anything_of(keeper.engine, place)
            except EngineError as error:
                self._keepers.silent(keeper, str(error))  # as on all that do not answer, nobody can tell
                continue
            if is_there:
                raise ConflictError(
                    f"workspace {name!r} is on node {keeper.hostname!r} from before there was a swarm, and is being "
                    "taken over; call again in a few seconds"
                )

    async def _room(
        self, scope: Scope, spec: WorkspaceSpec, before: Room | None, rules: WorkspaceRules, lock: Lock
    ) -> Room:
        place = naming.place_name(self._state.instance.id, scope, spec.name)
        if before is None:
            shunned = await ensure_everywhere(self._keepers)
            wanted = wanted_of(scope, place, spec, None, rules)
            return await self._rooms.reserve(wanted, hold_image(), lock, shunned=shunned)
        room = before if before.spec.node else await self._rooms.pinned(place)
        keeper = await self._keeper(room)
        wanted = wanted_of(scope, place, spec, await recorded_at(keeper.engine, place), rules)
        return await self._rooms.resize(room, wanted, lock)

    async def _made(
        self,
        scope: Scope,
        spec: WorkspaceSpec,
        ask: Ask,
        report: Report,
        *,
        before: Room | None,
        room: Room,
        lock: Lock,
    ) -> Provisioned:
        place = naming.place_of_room(room.spec.name)
        try:
            keeper = await self._keeper(room)
            made = await keeper.keeping.workspaces.provision(scope, spec, ask, report)
        except BaseException as error:
            with lock.shield(CLEAN_UP_S):
                if await lock.still_held():  # otherwise another server is at it, with this room
                    await self._take_back(before, room, place)
            if isinstance(error, ImageNotFoundError):
                raise self._no_image(error, room) from error
            raise
        if keeper.keeping.watch.is_begun:
            keeper.keeping.watch.look_soon()
        if made.workspace is not None:
            await self._fit(room, made.workspace, scope, lock)
        return made

    async def _keeper(self, room: Room) -> Keeper:
        if self._keepers.get(room.node) is None:
            await self._survey.settled()  # Swarm knew it before we did
            await self._keepers.opened()
        return self._keepers.answering(room.node)

    async def _take_back(self, before: Room | None, room: Room, place: PlaceId) -> None:
        """The room as it was, or none, unless something of the workspace is there by now."""
        try:
            if before is not None and before.spec.node:
                await self._rooms.restore(room, before.spec)
                return
            keeper = self._keepers.get(room.node)
            is_there = keeper is not None and await anything_of(keeper.engine, place)
            if not is_there and await self._ledger.intent(place) is None:
                await self._rooms.release(place)
        except WsError as error:
            log.warning("the room of %s is left as it is until it can be swept: %s", place, error)

    async def _fit(self, room: Room, workspace: Workspace, scope: Scope, lock: Lock) -> None:
        """Hold what the workspace has: one that is out of date and kept has what it had."""
        wanted = replace(had_by(scope, workspace), architecture=room.spec.architecture)
        if is_as_wanted(room.spec, wanted):
            return
        try:
            await self._rooms.resize(room, wanted, lock)
        except EngineError as error:
            log.warning("the room of %s does not hold what it has: %s", workspace.place, error)

    async def _foretold(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        """On its node; without one on any, since all are told the same."""
        node = await self._rooms.node_of(naming.place_name(self._state.instance.id, scope, spec.name))
        if node != HERE:
            return await self._keepers.answering(node).keeping.workspaces.provision(scope, spec, ask, report)
        for keeper in await self._keepers.opened():
            if not keeper.why:
                return await keeper.keeping.workspaces.provision(scope, spec, ask, report)
        raise EngineUnavailableError("no node of the swarm answers now; `ws-mcp doctor` says why")

    def _check_count(self, scope: Scope, place: PlaceId, rules: WorkspaceRules) -> None:
        labels = {naming.PRINCIPAL: scope.principal, naming.CHAT: scope.chat}.items()
        rooms = self._survey.rooms.items()
        there = {each for each, room in rooms if room.spec.is_held and labels <= room.spec.labels.items()}
        self._making.begin(scope, place, there, rules.workspaces)

    def _no_image(self, error: ImageNotFoundError, room: Room) -> ImageNotFoundError:
        node = self._survey.nodes.get(room.node)
        name = node.hostname if node is not None else room.node
        return ImageNotFoundError(
            f"on node {name!r}: {error}. Each node needs it: the operator runs `docker pull` there, or starts ws-mcp "
            "with --pull"
        )
