"""Rooms as the managers have them: found, reserved and pinned, changed in place, let go, released.

Calls about a room need the lock of its place, except looks.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import anyio

from ws_mcp.core.database import Instance
from ws_mcp.core.engine.swarm_model import HERE, NodeId, Room, RoomSpec
from ws_mcp.core.engine.swarm_port import Managers
from ws_mcp.core.errors import ConflictError, EngineConflictError, EngineNotFoundError, LimitError, WsError, one_line
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.placement.plan import Wanted, is_as_wanted, room_of, shun
from ws_mcp.core.placement.survey import Survey
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.workspaces import naming

log = logging.getLogger(__name__)

ASSIGN_S = 15.0  # that Swarm has to find a node, which takes it 0.1 s
REFUSED_S = 2.0  # after which its saying why there is none counts: it may be about a moment ago
POLL_S = (0.03, 0.25)  # first and longest pause between two looks at a task
CLEAN_UP_S = 20.0
TRIES = 5  # of a change, when others change the room at the same time


def lock_name(place: PlaceId) -> str:
    """The lock for a room, held as long as anything is done about its workspace."""
    return f"room-{place}"


class Rooms:
    """The rooms of an instance. `constraints`: the operator's, for all of them."""

    def __init__(
        self, managers: Managers, survey: Survey, instance: Instance, constraints: tuple[str, ...] = ()
    ) -> None:
        self._managers = managers
        self._survey = survey
        self._instance = instance
        self._constraints = constraints

    async def find(self, place: PlaceId) -> Room | None:
        """The room of a place as the managers have it now.

        Raises:
            ConflictError: somebody else's service has its name.
        """
        name = naming.room_name(place)
        try:
            room = await self._managers.room(name)
        except EngineNotFoundError:
            if place in self._survey.rooms:
                self._survey.learn(place, None)
            return None
        if not naming.is_ours(self._instance.key, name, room.spec.labels):
            raise ConflictError(f"a service {name!r} exists that this ws-mcp did not make; remove it by hand")
        if self._survey.rooms.get(place) != room:
            self._survey.learn(place, room)
        return room

    async def node_of(self, place: PlaceId) -> NodeId:
        """Where the managers say that a place is now; "" where it has no room, or is on no node yet."""
        room = await self.find(place)
        return room.node if room is not None else HERE

    async def reserve(
        self, wanted: Wanted, image: str, lock: Lock, *, shunned: frozenset[NodeId] = frozenset()
    ) -> Room:
        """A room that did not exist before, pinned to the node that was found for it.

        Raises:
            LimitError: no node has so much, in Swarm's words; no room is left.
        """
        spec = room_of(self._instance, wanted, image, constraints=shun(self._constraints, shunned))
        try:
            await self._managers.create_room(spec)
            return await self.pinned(wanted.place)
        except BaseException:
            await self.clean_up(wanted.place, lock)
            raise

    async def adopt(self, wanted: Wanted, image: str, node: NodeId, *, is_held: bool) -> None:
        """A room where something is already, whether or not there is room for it."""
        spec = room_of(self._instance, wanted, image, node=node, constraints=self._constraints)
        await self._managers.create_room(replace(spec, is_held=is_held))
        await self.find(wanted.place)

    async def pinned(self, place: PlaceId, other_than: NodeId = HERE) -> Room:
        """The room of a place, as soon as it is on a node, and pinned there.

        Raises:
            LimitError: no node has so much; the room is still there.
        """
        room = await self._assigned(place, other_than)
        if room.spec.node:
            return room
        return await self._changed(room, replace(room.spec, node=room.assigned, constraints=self._constraints))

    async def resize(self, room: Room, wanted: Wanted, lock: Lock | None = None) -> Room:
        """Hold what is wanted on the same node; with `lock` nothing is changed back once that is lost.

        Raises:
            LimitError: the node does not have so much; the room is as it was.
        """
        if is_as_wanted(room.spec, wanted):
            return room
        spec = room_of(self._instance, wanted, room.spec.image, node=room.spec.node, constraints=self._constraints)
        changed = await self._changed(room, spec)
        if not self._is_more(room, spec):
            return changed
        try:
            await self._held(changed)
        except BaseException:
            with (lock or Lock(room.spec.name, None)).shield(CLEAN_UP_S):
                await self.restore(changed, room.spec)
            raise
        return changed

    async def restore(self, room: Room, spec: RoomSpec) -> Room:
        """Make it be as it was."""
        return await self._changed(room, spec) if room.spec != spec else room

    async def let_go(self, room: Room) -> Room:
        """Hold nothing any more; where its data is stays known."""
        return await self._changed(room, replace(room.spec, is_held=False))

    async def move(self, room: Room, lock: Lock) -> Room:
        """Be on another node from now on; what is on the one that it was on is given up.

        Raises:
            LimitError: no other node has so much; it is where it was.
        """
        before = room.spec
        spec = replace(before, node=HERE, is_held=True, constraints=shun(self._constraints, (room.node,)))
        changed = await self._changed(room, spec)
        try:
            return await self.pinned(naming.place_of_room(before.name), other_than=room.node)
        except BaseException:
            with lock.shield(CLEAN_UP_S):
                await self.restore(changed, before)
            raise

    async def release(self, place: PlaceId) -> None:
        """It is nobody's."""
        room = await self.find(place)
        if room is not None:
            await self._managers.remove_room(room)
            self._survey.learn(place, None)

    async def clean_up(self, place: PlaceId, lock: Lock) -> None:
        """Release what is half-made; what cannot be released now is swept later, and is another's if the lock is."""
        with lock.shield(CLEAN_UP_S):
            try:
                if await lock.still_held():
                    await self.release(place)
            except WsError as error:
                log.warning("the room of %s is left until a manager answers: %s", place, error)

    async def _assigned(self, place: PlaceId, other_than: NodeId) -> Room:
        pause_s, longest_s = POLL_S
        began = anyio.current_time()
        while True:
            room = await self._managers.room(naming.room_name(place))
            if room.node and room.node != other_than:
                return room
            waited_s = anyio.current_time() - began
            if waited_s >= ASSIGN_S or (room.message and waited_s >= REFUSED_S):
                raise LimitError(_no_node(room, waited_s))
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    async def _held(self, room: Room) -> None:
        """Wait until its node has what it holds now."""
        pause_s, longest_s = POLL_S
        began = anyio.current_time()
        while True:
            await anyio.sleep(pause_s)  # at first the managers show the task of before
            found = await self._managers.room(room.spec.name)
            waited_s = anyio.current_time() - began
            if found.assigned and waited_s >= longest_s:
                return
            if waited_s >= ASSIGN_S or (found.message and not found.assigned and waited_s >= REFUSED_S):
                raise LimitError(f"the node of this workspace does not have so much: {_reason(found)}; ask for less")
            pause_s = min(2 * pause_s, longest_s)

    def _is_more(self, room: Room, spec: RoomSpec) -> bool:
        """Whether its node has to find more than before; one that takes nothing new finds nothing."""
        node = self._survey.nodes.get(room.node)
        is_more = not room.spec.is_held or spec.cpus > room.spec.cpus or spec.memory_bytes > room.spec.memory_bytes
        return is_more and node is not None and node.is_ready and node.availability == "active"

    async def _changed(self, room: Room, spec: RoomSpec) -> Room:
        place = naming.place_of_room(spec.name)
        for _ in range(TRIES):
            try:
                await self._managers.change_room(room, spec)
            except EngineConflictError:
                # Swarm counts the changes that it makes itself, too.
                room = await self._managers.room(spec.name)
                continue
            changed = await self._managers.room(spec.name)
            self._survey.learn(place, changed)
            return changed
        raise EngineConflictError(f"room {spec.name!r} is changed by others all the time; try again in a moment")


def _no_node(room: Room, waited_s: float) -> str:
    return (
        f"no node has room for this workspace ({_reason(room) or f'Swarm found none within {waited_s:.0f} s'}): ask "
        "for less memory or fewer processors, remove workspaces that are not needed, or let the operator add a node"
    )


def _reason(room: Room) -> str:
    return one_line(room.message)
