"""Keeps rooms and what is on the nodes in step: what has no room gets one, what belongs to nobody goes.

Nothing follows from a node that does not answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import anyio

from ws_mcp.core.clock import Now
from ws_mcp.core.engine.swarm_model import HERE, NodeId, Room
from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.hold import hold_image
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.placement.holding import ensure_everywhere
from ws_mcp.core.placement.keepers import Keeper, Keepers
from ws_mcp.core.placement.plan import Wanted, had_by, is_as_wanted
from ws_mcp.core.placement.remains import anything_of, has_container, has_data
from ws_mcp.core.placement.rooms import Rooms, lock_name
from ws_mcp.core.placement.sights import ClusterSights
from ws_mcp.core.placement.survey import Survey
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Ledger

log = logging.getLogger(__name__)

GRACE_S = 600.0  # that this server must have seen a room belong to nobody before it removes it
LOOK_S = 60.0
ADOPT_WAIT_S = 5.0  # that a provision waits for nodes which were never looked at
STOP_GRACE_S = 10.0


class Upkeep:
    """The upkeep of one instance; safe with several servers."""

    def __init__(
        self,
        state: State,
        ledger: Ledger,
        survey: Survey,
        keepers: Keepers,
        *,
        rooms: Rooms,
        sights: ClusterSights,
        now: Now,
    ) -> None:
        self._now = now
        self._state = state
        self._ledger = ledger
        self._survey = survey
        self._keepers = keepers
        self._rooms = rooms
        self._sights = sights
        self._adopted: set[NodeId] = set()  # nodes that were looked at since they answer
        self._since: dict[PlaceId, float] = {}  # rooms that were seen as nobody's

    async def look(self) -> None:
        """Put in order what can be now.

        Raises:
            EngineError: the managers do not answer.
        """
        if not self._survey.is_begun:
            return
        await self._sights.settled()
        await self._survey.known()
        self._adopted.clear()
        await self.adopt()
        await self._evict()
        await self._fit()
        await self._repair()
        await self.sweep(GRACE_S)

    async def adopt(self) -> frozenset[NodeId]:
        """Give a room to what is on a node without one; each node is looked at once, and again with each upkeep.

        Returns the nodes that answer, but where there may still be something without a room.
        """
        answering = {keeper.id for keeper in await self._keepers.opened() if not keeper.why}
        self._adopted &= answering
        if answering <= self._adopted:
            return frozenset()
        await self._sights.settled()
        with anyio.move_on_after(ADOPT_WAIT_S):
            async with anyio.create_task_group() as tasks:
                for keeper in self._keepers.all():
                    if keeper.id in answering - self._adopted:
                        tasks.start_soon(self._adopt, keeper)
        return frozenset(answering - self._adopted)

    async def sweep_older(self, older_than_s: float, *, is_dry_run: bool) -> tuple[Room, ...]:
        """Remove rooms that are nobody's and were made so long ago, as a person wants it; returns which those are.

        Raises:
            EngineError
        """
        now = self._now()
        rooms = self._survey.rooms.items()
        old = [each for each, room in rooms if (now - room.created_at).total_seconds() >= older_than_s]
        nobodys = self._nobodys()
        due = [place for place in old if place in nobodys]
        found = [await self._sweep(place, is_dry_run=is_dry_run) for place in due]
        return tuple(room for room in found if room is not None)

    async def sweep(self, grace_s: float) -> None:
        """Remove rooms that this server has seen to be nobody's for `grace_s`.

        Raises:
            EngineError
        """
        now = anyio.current_time()
        self._since = {place: self._since.get(place, now) for place in self._nobodys()}
        due = [place for place, since in self._since.items() if now - since >= grace_s]
        for place in due:
            await self._sweep(place, is_dry_run=False)

    def _nobodys(self) -> frozenset[PlaceId]:
        """The rooms in which nothing that is listed is; the node of one is looked at closely before it is removed."""
        listed: dict[NodeId, frozenset[PlaceId]] = {}
        for keeper in self._keepers.all():
            last = keeper.keeping.watch.last
            if last is not None and not keeper.told:
                listed[keeper.id] = frozenset(each.place for of in last.workspaces.values() for each in of)

        def is_nobodys(place: PlaceId, room: Room) -> bool:
            return room.node == HERE or (room.node in listed and place not in listed[room.node])

        return frozenset(place for place, room in self._survey.rooms.items() if is_nobodys(place, room))

    async def _sweep(self, place: PlaceId, *, is_dry_run: bool) -> Room | None:
        async with self._state.lock_if_free(lock_name(place)) as is_held:
            if not is_held or await self._ledger.intent(place) is not None:
                return None
            room = await self._rooms.find(place)
            if room is None:
                return None
            keeper = self._keepers.get(room.node)
            if room.node != HERE and (keeper is None or keeper.why or await has_container(keeper.engine, place)):
                return None
            if room.node != HERE and keeper is not None and await has_data(keeper.engine, place):
                # Of a workspace that was removed, by a server that died or was not heard: its data needs no more.
                if room.spec.is_held and not is_dry_run:
                    await self._rooms.let_go(room)
                return None
            if not is_dry_run:
                log.info("removed the room of %s: nothing is in it", place)
                await self._rooms.release(place)
            return room

    async def _repair(self) -> None:
        """End what was begun for a place that is nowhere; what is somewhere its node puts right."""
        for intent in await self._ledger.intents() if not self._state.damage else ():
            async with self._state.lock_if_free(lock_name(intent.place)) as is_held:
                if not is_held or await self._rooms.node_of(intent.place) != HERE:
                    continue
                keepers = self._keepers.all()
                if any(keeper.why for keeper in keepers):
                    continue  # it may be there
                if not any([await anything_of(keeper.engine, intent.place) for keeper in keepers]):
                    await self._ledger.end(intent.place)

    async def _fit(self) -> None:
        """Let each room hold what its workspace has: a server may have died between one and the other."""
        for keeper in self._keepers.all():
            last = keeper.keeping.watch.last
            for scope, of_scope in last.workspaces.items() if last is not None and not keeper.told else ():
                for workspace in of_scope:
                    room = self._survey.rooms.get(workspace.place)
                    wanted = had_by(scope, workspace)
                    if room is not None and room.spec.node == keeper.id and not is_as_wanted(room.spec, wanted):
                        await self._fit_one(keeper, wanted)

    async def _fit_one(self, keeper: Keeper, wanted: Wanted) -> None:
        async with self._state.lock_if_free(lock_name(wanted.place)) as is_held:
            if not is_held or await self._ledger.intent(wanted.place) is not None:
                return
            room = await self._rooms.find(wanted.place)
            if room is None or room.spec.node != keeper.id or not await anything_of(keeper.engine, wanted.place):
                return
            try:
                await self._rooms.resize(room, wanted)
            except WsError as error:
                log.warning("the room of %s does not hold what it has: %s", wanted.place, error)

    async def _evict(self) -> None:
        """Remove what was given up on a node that is back, and is elsewhere by now; its data stays for a person."""
        for keeper in self._keepers.all():
            last = keeper.keeping.watch.last
            for of_scope in last.workspaces.values() if last is not None and not keeper.told else ():
                for workspace in of_scope:
                    room = self._survey.rooms.get(workspace.place)
                    if room is not None and room.spec.node not in (HERE, keeper.id) and workspace.container is not None:
                        await self._evict_one(keeper, workspace.place, workspace.container)

    async def _evict_one(self, keeper: Keeper, place: PlaceId, container: ContainerId) -> None:
        async with self._state.lock_if_free(lock_name(place)) as is_held:
            if not is_held or (node := await self._rooms.node_of(place)) in (HERE, keeper.id):
                return
            elsewhere = self._survey.nodes.get(node)
            if elsewhere is None or not elsewhere.is_ready:
                return  # a machine that left the swarm and joined it again is another node to it: nothing was given up
            log.warning("removed the container of %s on node %s: it was given up there", place, keeper.hostname)
            await keeper.engine.stop(container, STOP_GRACE_S)
            await keeper.engine.remove(container)

    async def _adopt(self, keeper: Keeper) -> None:
        failed = False
        try:
            orphans = [*await self._orphans(keeper)]
        except WsError as error:
            log.warning("what is on node %s without a room is left so for now: %s", keeper.hostname, error)
            return
        for wanted in orphans:
            try:
                await self._adopt_one(keeper, wanted)
            except WsError as error:  # one that cannot have a room must not keep the others from theirs
                failed = True
                log.warning("%s on node %s is left without a room for now: %s", wanted.place, keeper.hostname, error)
        if not failed:
            self._adopted.add(keeper.id)

    async def _orphans(self, keeper: Keeper) -> Iterator[Wanted]:
        """What is there, by the list that is kept of it, and as data."""
        last = keeper.keeping.watch.last
        found: dict[PlaceId, Wanted] = {}
        for scope, name in await keeper.keeping.workspaces.data():
            place = naming.place_name(self._state.instance.id, scope, name)
            found[place] = Wanted(scope=scope, name=name, place=place, cpus=0.0, memory_bytes=0)
        for scope, of_scope in last.workspaces.items() if last is not None else ():
            for each in of_scope:
                found[each.place] = had_by(scope, each)
        return (wanted for place, wanted in found.items() if place not in self._survey.rooms)

    async def _adopt_one(self, keeper: Keeper, wanted: Wanted) -> None:
        async with self._state.lock_if_free(lock_name(wanted.place)) as is_held:
            if not is_held or await self._rooms.find(wanted.place) is not None:
                return
            if not await anything_of(keeper.engine, wanted.place):
                return
            await ensure_everywhere(self._keepers)
            log.info("the workspace %s on node %s gets a room", wanted.place, keeper.hostname)
            has_container = wanted.memory_bytes > 0  # else it is the data of one that was removed
            await self._rooms.adopt(wanted, hold_image(), keeper.id, is_held=has_container)
