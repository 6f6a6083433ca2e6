"""What is kept for each node: its engine, its container workspaces, and whether it can be reached from here.

A node that was seen once is kept as long as the server lives: what was on it is known then, whatever becomes of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import anyio
from anyio.abc import TaskGroup

from ws_mcp.core.clock import Now
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.swarm_model import NodeId, SwarmNode
from ws_mcp.core.engine.swarm_port import NodeEngines
from ws_mcp.core.errors import EngineError, EngineNotFoundError, EngineUnavailableError, PlaceUnavailableError
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.placement.plan import told_lost, why_lost
from ws_mcp.core.workspaces.keeping import Keeping

PING_S = 4.0  # between two questions whether a node can be reached
PONG_S = 4.0  # that it has to answer
NOTHING = "wsmcp-nothing"  # a volume that is not there: to ask for it costs an engine next to nothing
NOT_SEEN = "it was not looked at since this server began"

OpenKeeping = Callable[[SwarmNode, Engine], AbstractAsyncContextManager[Keeping]]
"""Opens what is kept for a node."""


@dataclass(slots=True, kw_only=True)
class Keeper:
    """One node. `node`: None when it is in the swarm no more; `since`: when it was first seen to be lost."""

    id: NodeId
    hostname: str
    node: SwarmNode | None
    engine: Engine
    keeping: Keeping
    unreachable: str = ""  # why it could not be asked last
    since: datetime | None = None
    has_hold: bool = False  # the image that rooms are held with
    nudge: anyio.Event = field(default_factory=anyio.Event)

    @property
    def why(self) -> str:
        """Why it is lost; "" where nothing says so."""
        return why_lost(self.node, self.unreachable)

    @property
    def told(self) -> str:
        """Why it is not known what is on it, as it is said there."""
        last = self.keeping.watch.last
        why = self.why or (last.unknown if last is not None else NOT_SEEN)
        return told_lost(self.hostname, why, self.since) if why else ""

    @property
    def architecture(self) -> str:
        """Of its machine."""
        return self.node.architecture if self.node is not None else ""

    @property
    def is_drained(self) -> bool:
        """Whether it is told to take nothing new."""
        return self.node is not None and self.node.availability != "active"


class Keepers:
    """The nodes; made by `open_keepers`. `on_change` is told when one is lost or back, and must not wait."""

    def __init__(
        self,
        engines: NodeEngines,
        open_keeping: OpenKeeping,
        on_change: Callable[[], None],
        *,
        now: Now,
        tasks: TaskGroup,
    ) -> None:
        self._engines = engines
        self._open_keeping = open_keeping
        self._on_change = on_change
        self._now = now
        self._tasks = tasks
        self._kept: dict[NodeId, Keeper] = {}
        self._opening: set[NodeId] = set()
        self._opened = anyio.Event()

    def follow(self, nodes: Mapping[NodeId, SwarmNode]) -> None:
        """These are all nodes, as their managers see them."""
        for id_, node in nodes.items():
            self._engines.engine(node)  # which learns its address, if that is another one
            if id_ not in self._kept and id_ not in self._opening:
                self._opening.add(id_)
                self._tasks.start_soon(self._keep, node, name=f"node {node.hostname}")
        changed = False
        for keeper in self._kept.values():
            was_lost, was_ready = bool(keeper.why), keeper.node is not None and keeper.node.is_ready
            keeper.node = nodes.get(keeper.id)
            if keeper.node is not None and keeper.node.is_ready and not was_ready:
                keeper.nudge.set()  # that it could not be reached before need not be so
            changed |= self._judged(keeper, was_lost=was_lost)
        if changed:
            self._on_change()  # once: many may be lost together, and the list of all is put together each time

    async def opened(self) -> tuple[Keeper, ...]:
        """All of them."""
        while self._opening:
            await self._opened.wait()
        return self.all()

    def all(self) -> tuple[Keeper, ...]:
        """Those that were opened, in the order in which they were seen."""
        return tuple(self._kept.values())

    def get(self, node: NodeId) -> Keeper | None:
        """One of them."""
        return self._kept.get(node)

    def answering(self, node: NodeId) -> Keeper:
        """One that can be asked.

        Raises:
            EngineUnavailableError: it is lost; says what that means for what is on it.
        """
        keeper = self._kept.get(node)
        if keeper is None:
            raise EngineUnavailableError(told_lost(node, why_lost(None, ""), None))
        if keeper.why:
            raise EngineUnavailableError(told_lost(keeper.hostname, keeper.why, keeper.since))
        return keeper

    def engine_of(self, address: PlaceAddress) -> Engine:
        """The engine through which an execd is reached.

        Raises:
            PlaceUnavailableError: it cannot be reached now.
        """
        keeper = self._kept.get(address.node)
        if keeper is None or keeper.unreachable:
            raise PlaceUnavailableError(keeper.told if keeper is not None else NOT_SEEN)
        return keeper.engine

    def silent(self, keeper: Keeper, why: str) -> None:
        """It was asked, and that is why it did not answer ("": it did)."""
        was_lost = bool(keeper.why)
        keeper.unreachable = why
        self._judge(keeper, was_lost=was_lost)

    def _judge(self, keeper: Keeper, *, was_lost: bool) -> None:
        if self._judged(keeper, was_lost=was_lost):
            self._on_change()

    def _judged(self, keeper: Keeper, *, was_lost: bool) -> bool:
        """Whether it was lost just now, or is back."""
        if not keeper.why:
            keeper.since = None
        elif keeper.since is None:
            keeper.since = self._now()
        if was_lost == bool(keeper.why):
            return False
        if was_lost and keeper.keeping.watch.is_begun:
            keeper.keeping.watch.look_soon()  # what was seen before it was lost need not be so
        keeper.nudge.set()
        return True

    async def _keep(self, node: SwarmNode) -> None:
        engine = self._engines.engine(node)
        async with self._open_keeping(node, engine) as keeping:
            keeper = Keeper(id=node.id, hostname=node.hostname, node=node, engine=engine, keeping=keeping)
            self._kept[node.id] = keeper
            self._opening.discard(node.id)
            self._judge(keeper, was_lost=False)
            self._opened.set()
            self._opened = anyio.Event()
            await self._ping(keeper)

    async def _ping(self, keeper: Keeper) -> None:
        """An event stream through a cut network goes on for minutes: only who asks finds out."""
        while True:
            keeper.nudge = anyio.Event()
            with anyio.move_on_after(PING_S):
                await keeper.nudge.wait()
            if keeper.node is not None and keeper.keeping.watch.is_begun:
                self.silent(keeper, await _unanswered(keeper.engine))


async def _unanswered(engine: Engine) -> str:
    why = f"it did not answer within {PONG_S:g} s"
    with anyio.move_on_after(PONG_S):
        try:
            await engine.inspect_volume(NOTHING)
        except EngineNotFoundError:
            why = ""
        except EngineError as error:
            why = str(error)
        else:
            why = ""
    return why


@asynccontextmanager
async def open_keepers(
    engines: NodeEngines, open_keeping: OpenKeeping, on_change: Callable[[], None], now: Now
) -> AsyncGenerator[Keepers]:
    """Own what is kept for each node that is followed."""
    async with anyio.create_task_group() as tasks:
        yield Keepers(engines, open_keeping, on_change, now=now, tasks=tasks)
        tasks.cancel_scope.cancel()
