"""A large fake swarm with workspaces that have run for long, a real server's control paths on it, and a count of calls.

Each workspace is what the real thing leaves on its node (a container, a volume, signed) and with the managers (a room).
There are no execds, so nothing of the process side is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from anyio.abc import ByteStream
from support.fake_managers import FakeManagers
from support.fake_swarm import FakeSwarm

from ws_mcp.core.ages import Ages
from ws_mcp.core.changes import Changes
from ws_mcp.core.clock import utc_now
from ws_mcp.core.database import Instance
from ws_mcp.core.engine.model import ContainerSpec, Image, Limits, Volume
from ws_mcp.core.engine.swarm_model import SwarmNode
from ws_mcp.core.errors import PlaceUnavailableError
from ws_mcp.core.execd.hold import hold_image
from ws_mcp.core.execd.places import PlaceAddress, open_places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.own_acts import OwnActs
from ws_mcp.core.placement.opening import Ground, Placement, Swarm, open_placement
from ws_mcp.core.placement.plan import Wanted, room_of
from ws_mcp.core.state import State
from ws_mcp.core.stores.directory import make_directory
from ws_mcp.core.stores.port import Sql, Store
from ws_mcp.core.stores.sqlite import open_sqlite
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.rules import WorkspaceRules

IN_A_CHAT = 3  # workspaces
LIMITS = Limits(memory_bytes=64 << 20, cpus=0.01)
IMAGE = "wsmcp-scale:1"

T = TypeVar("T")


@dataclass(slots=True)
class Counts:
    """What was asked of whom; `state` counts the transactions of the state database."""

    managers: Counter[str] = field(default_factory=Counter[str])
    engines: Counter[str] = field(default_factory=Counter[str])
    state: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyNodes:
    """One server on a large swarm."""

    swarm: FakeSwarm
    placement: Placement
    counts: Counts
    scopes: tuple[Scope, ...]


class _StillManagers(FakeManagers):
    def settle(self) -> None:
        """Nothing: each room has its place, and Swarm's scheduler is not what is measured."""


class _CountedSwarm(FakeSwarm):
    def __init__(self, nodes: int, counts: Counts) -> None:
        self._counts = counts
        super().__init__(nodes)
        self.managers = _StillManagers(self)

    @asynccontextmanager
    async def counted(self, call: str) -> AsyncGenerator[None]:
        who, _, what = call.partition(".")
        (self._counts.managers if who == "managers" else self._counts.engines)[what] += 1
        async with super().counted(call):
            yield


class _CountedState(State):
    def __init__(self, directory: Path, store: Store, counts: Counts) -> None:
        super().__init__(directory, store)
        self._counts = counts

    async def run(self, work: Callable[[Sql], T]) -> T:
        self._counts.state += 1
        return await super().run(work)


def _unheard(_place: PlaceId, _event: Event) -> None: ...


@asynccontextmanager
async def open_many(directory: Path, hosts: int, workspaces: int) -> AsyncGenerator[ManyNodes]:
    """A server that has not looked at anything yet, on `hosts` nodes with `workspaces` on each."""
    counts = Counts()
    async with AsyncExitStack() as stack:
        await anyio.to_thread.run_sync(partial(make_directory, directory, has_state=True))
        state = _CountedState(directory, await stack.enter_async_context(open_sqlite(directory)), counts)
        swarm = _CountedSwarm(hosts, counts)
        scopes = await _fill(swarm, state, workspaces)
        places = await stack.enter_async_context(open_places(_no_execd, lambda _: "", "scale", _unheard))
        acts, doors = OwnActs(), Swarm(managers=swarm.managers, engines=swarm.engines)
        rules = WorkspaceRules(workspaces=workspaces * hosts)
        ages = Ages(utc_now, utc_now(), utc_now())
        ground = Ground(state, places, lambda _: rules, rules, acts, Changes(), ages)
        acts.begin(lambda _: nullcontext())
        placement = await stack.enter_async_context(open_placement(doors, ground))
        counts.managers.clear()
        counts.engines.clear()
        counts.state = 0
        yield ManyNodes(swarm=swarm, placement=placement, counts=counts, scopes=scopes)


async def _fill(swarm: FakeSwarm, state: State, workspaces: int) -> tuple[Scope, ...]:
    """Chats have workspaces on several nodes, as Swarm spreads them."""
    scopes: dict[Scope, None] = {}
    nodes = list(swarm.nodes.values())
    for engine in swarm.engine_of.values():
        engine.add_image(Image(id="sha256:1", tags=(IMAGE,), architecture="amd64", command=("sleep", "inf")))
    for number in range(len(nodes) * workspaces):
        scope = Scope(principal=PrincipalId("local:0"), chat=ChatId(f"c_{number // IN_A_CHAT:08}"))
        scopes[scope] = None
        await _put(swarm, state.instance, nodes[number % len(nodes)], scope, WorkspaceName(f"w{number % IN_A_CHAT}"))
    at = utc_now().isoformat()
    rows = [(scope.chat, scope.principal, "", at, at) for scope in scopes]
    statement = "INSERT INTO chats (chat, principal, label, created_at, used_at) VALUES (?, ?, ?, ?, ?)"
    await state.run(lambda db: db.executemany(statement, rows))
    return tuple(scopes)


async def _put(swarm: FakeSwarm, instance: Instance, node: SwarmNode, scope: Scope, name: WorkspaceName) -> None:
    place, engine = naming.place_name(instance.id, scope, name), swarm.engine_of[node.id]

    def labels(kind: str, of: str) -> dict[str, str]:
        more = {naming.TIER: "2"} if kind == "container" else {}
        return naming.labels_of(instance.id, instance.key, kind=kind, name=of, scope=scope, workspace=name, more=more)

    volume = naming.volume_name(place)
    engine.add_volume(Volume(name=volume, driver="local", labels=labels("volume", volume), options={}, created_at=""))
    spec = ContainerSpec(
        name=place, image=IMAGE, command=("sleep", "inf"), labels=labels("container", place), limits=LIMITS
    )
    await engine.start(await engine.create(spec))
    wanted = Wanted(scope=scope, name=name, place=place, cpus=LIMITS.cpus, memory_bytes=LIMITS.memory_bytes)
    swarm.managers.put_room(room_of(instance, wanted, hold_image(), node=node.id))


@asynccontextmanager
async def _no_execd(_: PlaceAddress) -> AsyncGenerator[ByteStream]:
    raise PlaceUnavailableError("there are no execds in this simulation")
    yield
