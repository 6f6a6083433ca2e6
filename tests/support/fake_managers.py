"""The managers of the fake swarm: rooms, networks over all nodes, events."""

from __future__ import annotations

import ipaddress
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from support.fake_scheduler import choose
from support.fake_world import FakeWorld, digest
from ws_mcp.core.engine.model import EngineEvent, Network
from ws_mcp.core.engine.names import checked_image, checked_name, checked_subnet
from ws_mcp.core.engine.sdk import carries
from ws_mcp.core.engine.swarm_model import HERE, NodeId, OverlaySpec, Room, RoomSpec, SwarmNode
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineNotFoundError,
    EngineUnavailableError,
    SubnetTakenError,
)

if TYPE_CHECKING:
    from support.fake_swarm import FakeSwarm

GONE = ("down", "disconnected")
PENDING = "pending"


@dataclass(kw_only=True)
class FakeTask:
    """What the scheduler made of a room."""

    node: NodeId = HERE
    state: str = "new"
    message: str = ""


class FakeManagers(FakeWorld):
    """See `ws_mcp.core.engine.swarm_port.Managers`."""

    def __init__(self, swarm: FakeSwarm) -> None:
        super().__init__()
        self._swarm = swarm
        self.found: dict[str, Room] = {}  # rooms by name
        self._tasks: dict[str, FakeTask] = {}

    async def swarm_id(self) -> str:
        async with self._called("swarm_id"):
            return "fakeswarm"

    async def nodes(self) -> tuple[SwarmNode, ...]:
        async with self._called("nodes"):
            return tuple(sorted(self._swarm.nodes.values(), key=lambda node: node.hostname))

    async def rooms(self, labels: Mapping[str, str]) -> tuple[Room, ...]:
        async with self._called("rooms"):
            found = [self._shown(name) for name, room in self.found.items() if carries(room.spec.labels, labels)]
            self.settle()
            return tuple(sorted(found, key=lambda room: room.created_at))

    async def room(self, name: str) -> Room:
        checked_name("room", name)
        async with self._called("room"):
            if name not in self.found:
                raise EngineNotFoundError(f"could not look at room {name!r}: service {name} not found")
            shown = self._shown(name)
            self.settle()
            return shown

    async def create_room(self, spec: RoomSpec) -> None:
        checked_name("room", spec.name)
        checked_image(spec.image)
        async with self._called("create_room"):
            if spec.name in self.found:
                raise EngineConflictError(
                    f"could not create room {spec.name!r}: name conflicts with an existing object"
                )
            number = next(self._numbers)
            room = Room(
                id=digest(f"{spec.name}:{number}")[:25], version=number, spec=spec, created_at=self._now(number)
            )
            self.found[spec.name], self._tasks[room.id] = room, FakeTask()
            self._tell("service", "create", room.id, spec.labels)

    async def change_room(self, room: Room, spec: RoomSpec) -> None:
        checked_name("room", spec.name)
        checked_image(spec.image)
        async with self._called("change_room"):
            current = next((found for found in self.found.values() if found.id == room.id), None)
            if current is None:
                raise EngineNotFoundError(f"could not change room {spec.name!r}: service {room.id} not found")
            if current.version != room.version:
                raise EngineConflictError(f"could not change room {spec.name!r}: update out of sequence")
            if spec.name != current.spec.name:
                raise EngineConflictError(f"could not change room {spec.name!r}: renaming services is not supported")
            self.found[spec.name] = replace(current, spec=spec, version=next(self._numbers))
            if self._is_new_task(current, spec):
                self._tasks[room.id] = FakeTask()
            self._tell("service", "update", room.id, spec.labels)

    async def remove_room(self, room: Room) -> None:
        async with self._called("remove_room"):
            current = next((found for found in self.found.values() if found.id == room.id), None)
            if current is not None:
                del self.found[current.spec.name], self._tasks[room.id]
                self._tell("service", "remove", room.id, current.spec.labels)

    async def create_overlay(self, spec: OverlaySpec) -> None:
        checked_name("network", spec.name)
        wanted = checked_subnet(spec.subnet)
        async with self._called("create_overlay"):
            if spec.name in self._swarm.overlays:
                raise EngineConflictError(f"could not create network {spec.name!r}: it already exists")
            taken = [ipaddress.ip_network(s) for n in self._swarm.overlays.values() for s in n.subnets]
            free = (f"10.0.{number}.0/24" for number in range(1, self.network_pool + 1))
            subnet = wanted or next((s for s in free if ipaddress.ip_network(s) not in taken), "")
            if not subnet or any(ipaddress.ip_network(subnet).overlaps(other) for other in taken):
                raise SubnetTakenError(f"could not create network {spec.name!r}: {subnet} overlaps with another one")
            self._swarm.overlays[spec.name] = Network(
                name=spec.name,
                labels=dict(spec.labels),
                driver="overlay",
                subnets=(subnet,),
                is_internal=False,
                containers=0,
            )

    async def overlay(self, name: str) -> Network:
        checked_name("network", name)
        async with self._called("overlay"):
            if name not in self._swarm.overlays:
                raise EngineNotFoundError(f"could not look at network {name!r}: no such network")
            return self._swarm.overlays[name]

    async def overlays(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        async with self._called("overlays"):
            return tuple(found for found in self._swarm.overlays.values() if carries(found.labels, labels))

    async def remove_overlay(self, name: str) -> None:
        checked_name("network", name)
        async with self._called("remove_overlay"):
            if any(engine.joined(name) for engine in self._swarm.engine_of.values()):
                raise EngineConflictError(f"could not remove network {name!r}: it is in use by a task")
            self._swarm.overlays.pop(name, None)

    @asynccontextmanager
    async def open_events(self) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        async with self._called("open_events"):
            watcher, events = anyio.create_memory_object_stream[EngineEvent](math.inf)
            self._watchers.append(watcher)
        with watcher, events:
            try:
                yield aiter(events)
            finally:
                self._watchers.remove(watcher)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()

    def node_changed(self, node: NodeId) -> None:
        """Something about a node is different: tasks that it can no longer have are looked after anew."""
        for task in self._tasks.values():
            found = self._swarm.nodes.get(task.node)
            if task.node and (found is None or found.state in GONE or found.availability == "drain"):
                task.node, task.state, task.message = HERE, "new", ""
        self.settle()
        self._tell("node", "update", node, {})

    def put_room(self, spec: RoomSpec) -> None:
        """A room that has run on its node for long: nobody has to look for a place."""
        number = next(self._numbers)
        made = Room(id=digest(f"{spec.name}:{number}")[:25], version=number, spec=spec, created_at=self._now(number))
        self.found[spec.name], self._tasks[made.id] = made, FakeTask(node=spec.node, state="running")

    def settle(self) -> None:
        """Let the scheduler and the nodes do what they can do now."""
        held: defaultdict[NodeId, tuple[RoomSpec, ...]] | None = None  # what is on each node; made when it is needed
        for room in self.found.values():
            task = self._tasks[room.id]
            if not room.spec.is_held:
                task.node, task.state, task.message = HERE, "shutdown", ""
                continue
            if not task.node:
                held = self._held() if held is None else held
                chosen = choose(room.spec, self._swarm.nodes.values(), held)
                held[chosen.node] += (room.spec,)
                task.node, task.message = chosen.node, chosen.message
                task.state = "assigned" if chosen.node else PENDING
            if task.node:
                has_image = self._swarm.engine_of[task.node].has_image(room.spec.image)
                task.state, task.message = (
                    ("running", "") if has_image else ("rejected", f"No such image: {room.spec.image}")
                )

    def _held(self) -> defaultdict[NodeId, tuple[RoomSpec, ...]]:
        held: defaultdict[NodeId, tuple[RoomSpec, ...]] = defaultdict(tuple)
        for room in self.found.values():
            held[self._tasks[room.id].node] += (room.spec,)
        return held

    def _is_new_task(self, room: Room, spec: RoomSpec) -> bool:
        """Whether Swarm replaces the task: it keeps one that only has to be where it is."""
        task = self._tasks[room.id]
        is_same = replace(spec, node=room.spec.node, labels=room.spec.labels, constraints=room.spec.constraints)
        node = self._swarm.nodes.get(task.node)
        stays = node is not None and bool(choose(replace(spec, memory_bytes=0, cpus=0), (node,), {}).node)
        return is_same != room.spec or not stays

    def _shown(self, name: str) -> Room:
        room = self.found[name]
        task = self._tasks[room.id]
        return replace(room, assigned=task.node, task_state=task.state, message=task.message)

    @asynccontextmanager
    async def _called(self, call: str) -> AsyncGenerator[None]:
        async with self._swarm.counted(f"managers.{call}"):
            if not self._swarm.has_majority:
                await anyio.lowlevel.checkpoint()
                raise EngineUnavailableError(
                    "no manager of the swarm can be asked now: the swarm does not have a leader"
                )
            async with super()._called(call):
                yield
