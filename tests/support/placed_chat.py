"""A chat's processes on a fake swarm: a fake execd in each workspace, which is as far away as its node."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, TaskGroup

from support.fake_execd import FakeExecd
from support.fake_place import FakeLimits
from support.fake_swarm import FakeSwarm
from support.memory_receipts import MemoryReceipts
from support.placement_ground import Cluster
from support.workspace_values import SCOPE
from ws_mcp.core.chat_places import ChatPlaces
from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import NotFoundError, PlaceUnavailableError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.places import PlaceAddress, Places, open_places
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName, new_process_id
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.port import PlaceRef
from ws_mcp.core.workspaces.local import LocalRules, LocalWorkspaces
from ws_mcp.core.workspaces.registry import Workspaces

SECRET = "00ff"


class Execds:
    """The execds of all workspaces: they live on, whichever server asks."""

    def __init__(self, swarm: FakeSwarm, tasks: TaskGroup) -> None:
        self._swarm = swarm
        self._tasks = tasks
        self.by_place: dict[PlaceId, FakeExecd] = {}

    def of(self, place: PlaceId) -> FakeExecd:
        """The one of a place."""
        if place not in self.by_place:
            self.by_place[place] = FakeExecd(place, SECRET, FakeLimits(), self._tasks)
        return self.by_place[place]

    async def lose(self, hostname: str) -> None:
        """Lose a node with all connections to what is on it."""
        await self._swarm.lose(hostname)
        on_it = {container.spec.name for container in self._swarm.engine(hostname).containers.values()}
        for place, execd in self.by_place.items():
            if place in on_it:
                execd.cut()


@asynccontextmanager
async def open_execds(swarm: FakeSwarm) -> AsyncGenerator[Execds]:
    """Own the execds."""
    async with anyio.create_task_group() as tasks:
        yield Execds(swarm, tasks)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_manager(cluster: Cluster, execds: Execds, scope: Scope = SCOPE) -> AsyncGenerator[ProcessManager]:
    """The manager of a chat in this server."""

    @asynccontextmanager
    async def dial(address: PlaceAddress) -> AsyncGenerator[ByteStream]:
        if not address.container:
            raise PlaceUnavailableError("never looked at")
        engine = cluster.placement.keepers.engine_of(address)
        async with engine_answers(cluster, address), execds.of(address.place).dial() as stream:
            assert engine is not None
            yield stream

    async with open_places(dial, lambda _: SECRET, "test", lambda _place, _event: None) as places:
        yield manager_of(cluster, places, scope)


@asynccontextmanager
async def engine_answers(cluster: Cluster, address: PlaceAddress) -> AsyncGenerator[None]:
    """As an exec would find: the node answers, and has the container."""
    await cluster.swarm.engine_of[address.node].inspect(address.container or "")
    yield


def manager_of(cluster: Cluster, places: Places, scope: Scope) -> ProcessManager:
    """As the core makes it."""
    local = LocalWorkspaces(cluster.state, LocalRules(), utc_now)
    workspaces = Workspaces(cluster.placement, local, places)
    chat_places = ChatPlaces(workspaces, lambda _: NoDevPlaces())

    async def client_of(place: PlaceRef) -> ExecdClient:
        return await places.client(place.address)

    async def all_places(*, is_fresh: bool = False) -> tuple[PlaceRef, ...]:
        return await chat_places.all(scope, is_fresh=is_fresh)

    async def place_of(name: WorkspaceName | None) -> PlaceRef:
        return await chat_places.of(scope, name)

    return ProcessManager(
        scope=scope,
        client_of=client_of,
        places_of=all_places,
        place_of=place_of,
        new_id=new_process_id,
        limits=ProcessLimits(),
        receipts=MemoryReceipts(),
    )


class NoDevPlaces:
    """No dev containers."""

    async def there(self) -> tuple[PlaceRef, ...]:
        await anyio.lowlevel.checkpoint()
        return ()

    async def place_of(self, name: str) -> PlaceRef:
        await anyio.lowlevel.checkpoint()
        raise NotFoundError("dev container", name, (), "")
