"""The nodes of the swarm and our rooms on them, as its managers last told, kept true by looking.

While no manager answers, what they told last stands: rooms are made and moved only by managers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio

from ws_mcp.core.database import Instance
from ws_mcp.core.engine.looks import Looks, open_looks
from ws_mcp.core.engine.model import EngineEvent
from ws_mcp.core.engine.swarm_model import NodeId, Room, SwarmNode
from ws_mcp.core.engine.swarm_port import Managers
from ws_mcp.core.errors import EngineError, EngineUnavailableError
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.placement.plan import verified
from ws_mcp.core.workspaces import naming

AGAIN_S = 3.0  # between looks while a node or the managers do not answer
SHARE = 10  # how many times as long as a look takes it is until the next one, for nodes that are down
WAIT_S = 2.0  # that a list waits for managers that answered before
FIRST_WAIT_S = 15.0  # that it waits for them the first time: they may be electing a leader
KINDS = ("service", "node")


class Survey:
    """What the managers told; made by `open_survey`. Nobody is asked anything before `settled`."""

    def __init__(self, managers: Managers, instance: Instance, on_look: Callable[[], None]) -> None:
        self._managers = managers
        self._instance = instance
        self._on_look = on_look
        self.nodes: Mapping[NodeId, SwarmNode] = {}
        self.rooms: Mapping[PlaceId, Room] = {}
        self.is_seen = False
        self.unknown = "the managers of the swarm were not asked yet"
        self._verified: Mapping[PlaceId, Room] = {}  # those of the last look
        self._learned: dict[PlaceId, Room | None] = {}  # since the last look began
        self.looks: Looks

    @property
    def is_begun(self) -> bool:
        """Whether anybody asked yet."""
        return self.looks.is_begun

    @property
    def is_current(self) -> bool:
        """Whether what is known is what the managers would say now."""
        return self.looks.is_listening and self.looks.is_settled and not self.unknown

    async def settled(self) -> None:
        """Wait until what is known is how it is; not for long, if something is known."""
        if self.is_current:
            return
        with anyio.move_on_after(WAIT_S if self.is_seen else FIRST_WAIT_S) as patience:
            await self.looks.settled(is_fresh=not self.is_seen and self.looks.is_settled)
        if patience.cancelled_caught and not self.unknown:
            self.unknown = "the managers of the swarm do not answer now"

    async def known(self) -> None:
        """The same, for who cannot go on without.

        Raises:
            EngineUnavailableError: the managers never answered.
        """
        await self.settled()
        if not self.is_seen:
            raise EngineUnavailableError(f"which nodes there are is not known now: {self.unknown}")

    def learn(self, place: PlaceId, room: Room | None) -> None:
        """What was just seen of one room, or made, or removed (None)."""
        self._learned[place] = room
        self.rooms = _with(self.rooms, {place: room})
        if self.is_begun:
            self.looks.soon()

    async def look(self, _marked: frozenset[str], _is_all_old: bool) -> None:
        """One look."""
        self._learned.clear()
        began = anyio.current_time()
        try:
            nodes = await self._managers.nodes()
            rooms = await self._managers.rooms({naming.INSTANCE: self._instance.id, naming.KIND: "room"})
        except EngineError as error:
            self.unknown = str(error)
        else:
            self.nodes = {node.id: node for node in nodes}
            self._verified = verified(self._instance, rooms, self._verified)
            self.rooms = _with(self._verified, self._learned)
            self.is_seen, self.unknown = True, ""
        if self.unknown:
            self.looks.again_in(AGAIN_S)
        elif not all(node.is_ready for node in self.nodes.values()):
            self.looks.again_in(again_s(anyio.current_time() - began))
        self._on_look()

    def concerns(self, event: EngineEvent) -> bool:
        """Whether an event is about a node, or one of our rooms."""
        is_room = event.labels.get("name", "").endswith(naming.ROOM) or naming.INSTANCE in event.labels
        return event.kind == "node" or is_room or not event.labels


@asynccontextmanager
async def open_survey(managers: Managers, instance: Instance, on_look: Callable[[], None]) -> AsyncGenerator[Survey]:
    """Own the tasks that look and listen, once something asks. `on_look` is told of each look and must not wait."""
    survey = Survey(managers, instance, on_look)
    async with open_looks(managers, survey.look, survey.concerns, "the swarm", kinds=KINDS) as survey.looks:
        yield survey


def again_s(took_s: float) -> float:
    """When to look again at a swarm of which a node is down; that it is back is an event, if that is heard."""
    return max(AGAIN_S, SHARE * took_s)


def _with(rooms: Mapping[PlaceId, Room], learned: Mapping[PlaceId, Room | None]) -> Mapping[PlaceId, Room]:
    now: dict[PlaceId, Room | None] = {**rooms, **learned}
    return {place: room for place, room in now.items() if room is not None}
