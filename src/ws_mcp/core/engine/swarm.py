"""The door to a swarm's managers: whichever of them answers, waiting while they elect a leader."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio

from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.faults import NO_MANAGER
from ws_mcp.core.engine.model import EngineEvent, Network
from ws_mcp.core.engine.names import checked_image, checked_name, checked_subnet
from ws_mcp.core.engine.swarm_model import NodeId, OverlaySpec, Room, RoomSpec, SwarmNode
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    InvalidArgumentError,
    SubnetTakenError,
)

T = TypeVar("T")

# Shorter than those of an engine: managers only write down what is to be, and there are others to be asked.
DEADLINES = Deadlines(look_s=5.0, act_s=10.0, connect_s=10.0)
TRIES = 5  # of a change, while Swarm itself writes to the room


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds that a call may wait."""

    election_s: float = 25.0  # for a leader; an election takes 10 to 20 s
    poll_s: float = 0.25
    subnet_s: float = 5.0  # until a network has got a subnet, which takes some 20 ms


class SwarmManagers:
    """See `swarm_port.Managers`. The first manager is at the engine that the server was given."""

    def __init__(
        self,
        first: DockerEngine,
        engine_of: Callable[[SwarmNode], DockerEngine],
        patience: Patience = Patience(),
    ) -> None:
        self._first = first
        self._engine_of = engine_of
        self._patience = patience
        self._swarm = ""
        self._others: dict[NodeId, DockerEngine] = {}
        self._asked_last = first

    async def swarm_id(self) -> str:
        if not self._swarm:
            self._swarm = await self._asked(DockerEngine.swarm_id)
        return self._swarm

    async def nodes(self) -> tuple[SwarmNode, ...]:
        nodes = await self._asked(DockerEngine.swarm_nodes)
        self._others = {node.id: self._engine_of(node) for node in nodes if node.is_manager}
        return nodes

    async def rooms(self, labels: Mapping[str, str]) -> tuple[Room, ...]:
        return await self._asked(lambda manager: manager.swarm_rooms(labels))

    async def room(self, name: str) -> Room:
        checked_name("room", name)
        return await self._asked(lambda manager: manager.swarm_room(name))

    async def create_room(self, spec: RoomSpec) -> None:
        _check(spec)
        doubt = Doubt()
        try:
            await self._asked(lambda manager: manager.swarm_create_room(spec), doubt)
        except EngineConflictError:
            if not doubt or (await self.room(spec.name)).spec != spec:
                raise

    async def change_room(self, room: Room, spec: RoomSpec) -> None:
        _check(spec)
        for left in reversed(range(TRIES)):
            doubt, current = Doubt(), room
            try:
                await self._asked(lambda manager, current=current: manager.swarm_change_room(current, spec), doubt)
            except EngineConflictError:
                newer = await self._again(room)
                if doubt and newer.spec == spec:
                    return
                # Swarm writes down how far a change is, too, under a new version.
                if newer.spec != room.spec or not left:
                    raise
                room = newer
            else:
                return

    async def remove_room(self, room: Room) -> None:
        await self._asked(lambda manager: manager.swarm_remove_room(room))

    async def create_overlay(self, spec: OverlaySpec) -> None:
        checked_name("network", spec.name)
        wanted = replace(spec, subnet=checked_subnet(spec.subnet))
        # Swarm takes a subnet that another has, and leaves the new network without one.
        if wanted.subnet and any(
            each.name != spec.name and _overlap(wanted.subnet, each) for each in await self.overlays({})
        ):
            raise SubnetTakenError(f"could not create network {spec.name!r}: {wanted.subnet} overlaps with another one")
        doubt = Doubt()
        try:
            await self._asked(lambda manager: manager.swarm_create_overlay(wanted), doubt)
        except EngineConflictError:
            if not doubt and await self._has_subnet(spec.name):
                raise
        if not await self._has_subnet(spec.name):
            await self.remove_overlay(spec.name)
            raise SubnetTakenError(f"could not create network {spec.name!r}: the swarm gave it no subnet")

    async def overlay(self, name: str) -> Network:
        checked_name("network", name)
        found = await self._asked(lambda manager: manager.swarm_overlay(name))
        if not found.subnets and not await self._has_subnet(name):
            raise EngineNotFoundError(f"the network {name!r} of the swarm has no subnet: it was never made in full")
        return await self._asked(lambda manager: manager.swarm_overlay(name))

    async def overlays(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        return await self._asked(lambda manager: manager.swarm_overlays(labels))

    async def remove_overlay(self, name: str) -> None:
        checked_name("network", name)
        await self._asked(lambda manager: manager.swarm_remove_overlay(name))

    @asynccontextmanager
    async def open_events(self) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        async with AsyncExitStack() as stack:
            events = await self._asked(lambda manager: stack.enter_async_context(manager.swarm_events()))
            yield events

    async def aclose(self) -> None:
        await self._first.aclose()

    async def _again(self, room: Room) -> Room:
        """The room as it is now; another one under its name is not it."""
        current = await self.room(room.spec.name)
        if current.id != room.id:
            raise EngineNotFoundError(f"room {room.spec.name!r} is gone; another one has its name")
        return current

    async def _has_subnet(self, name: str) -> bool:
        with anyio.move_on_after(self._patience.subnet_s):
            # Nothing tells, and it may be another machine that gives it one.
            while not (await self._asked(lambda manager: manager.swarm_overlay(name))).subnets:  # noqa: ASYNC110
                await anyio.sleep(self._patience.poll_s)
            return True
        return False

    def _managers(self) -> list[DockerEngine]:
        """Whom to ask, the one that answered last first."""
        return list(dict.fromkeys((self._asked_last, self._first, *self._others.values())))

    async def _asked(self, ask: Callable[[DockerEngine], Awaitable[T]], doubt: Doubt | None = None) -> T:
        """The first answer of a manager. Where only engines are known that are none, nothing is waited for.

        Raises:
            EngineUnavailableError: none can be asked, for as long as an election takes.
        """
        until = anyio.current_time() + self._patience.election_s
        while True:
            reasons: list[EngineError] = []
            for manager in self._managers():
                try:
                    answer = await ask(manager)
                except (EngineUnavailableError, EngineTimeoutError) as error:
                    reasons.append(error)
                    if doubt is not None:
                        doubt.arise()
                else:
                    self._asked_last = manager
                    return answer
            if anyio.current_time() >= until or all(re.search(NO_MANAGER, str(reason)) for reason in reasons):
                raise EngineUnavailableError(f"no manager of the swarm can be asked now: {reasons[0]}") from reasons[0]
            await anyio.sleep(self._patience.poll_s)


class Doubt:
    """Whether a try got no answer, so that what it was to do may have been done."""

    def __init__(self) -> None:
        self._is_there = False

    def arise(self) -> None:
        self._is_there = True

    def __bool__(self) -> bool:
        return self._is_there


def _check(spec: RoomSpec) -> None:
    checked_name("room", spec.name)
    checked_image(spec.image)
    if not spec.command:
        raise InvalidArgumentError(f"room {spec.name!r} needs a command that holds it")


def _overlap(subnet: str, network: Network) -> bool:
    wanted = ipaddress.ip_network(subnet)
    others = (ipaddress.ip_network(other) for other in network.subnets if other)
    return any(wanted.version == other.version and wanted.overlaps(other) for other in others)
