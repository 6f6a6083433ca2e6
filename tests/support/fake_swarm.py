"""A swarm in memory: its managers, and a `FakeEngine` for each node; passes the contract of the doors to a swarm.

A room's task is where Swarm's scheduler would put it, from the second look on: at the first nothing is there yet, as
with a real swarm. A test says which nodes are lost (`lose`), out of this server's reach (`cut_off`), drained
(`set_availability`) or named by nobody (`unnamed`), and that the managers have no majority (`is_leaderless`).
`FakeSwarm.at_call`, `fail_call` and `revive` count the calls of the managers and of all engines together; those of
`managers` and of a node's engine count its own.
"""

from __future__ import annotations

import itertools
from collections import ChainMap
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import anyio.lowlevel

from support.fake_engine import FakeEngine
from support.fake_managers import FakeManagers
from support.fake_world import INFO, FakeWorld, digest
from ws_mcp.core.engine.model import Network
from ws_mcp.core.engine.swarm_model import NodeId, OverlaySpec, SwarmNode
from ws_mcp.core.errors import EngineUnavailableError

SHARED = "wsmcp-net-"  # how the names of networks begin that span the nodes
NUMBERS = 1000  # between those of two nodes: no two containers have one id


class FakeSwarm(FakeWorld):
    """Three managers by default, node-1 to node-3, of two processors and 8 GiB each."""

    def __init__(self, nodes: int = 3, managers: int = 3) -> None:
        super().__init__()
        self.nodes: dict[NodeId, SwarmNode] = {}
        self.overlays: dict[str, Network] = {}
        self.unnamed: set[str] = set()  # host names of nodes that no `--node` names
        self.is_leaderless = False
        self.managers = FakeManagers(self)
        self.engines = FakeNodeEngines(self)
        self.engine_of: dict[NodeId, FakeNode] = {}
        for number in range(1, nodes + 1):
            self.add_node(f"node-{number}", is_manager=number <= managers)

    def add_node(self, hostname: str, *, is_manager: bool = False, architecture: str = "amd64") -> SwarmNode:
        """A machine that joins."""
        number = len(self.nodes) + 1
        node = SwarmNode(
            id=NodeId(f"fake{digest(hostname)[:21]}"),
            hostname=hostname,
            address=f"192.0.2.{number}",
            state="ready",
            is_manager=is_manager,
            is_leader=number == 1,
            architecture=architecture,
            cpus=2.0,
            memory_bytes=8 << 30,
            engine_version="0",
        )
        self.nodes[node.id] = node
        self.engine_of[node.id] = FakeNode(self, node, number)
        return node

    def node(self, hostname: str) -> SwarmNode:
        """A node as the managers see it now."""
        return next(node for node in self.nodes.values() if node.hostname == hostname)

    def engine(self, hostname: str) -> FakeNode:
        """Its engine."""
        return self.engine_of[self.node(hostname).id]

    def change(self, hostname: str, **fields: object) -> None:
        """Let the managers see a node otherwise (fields of `SwarmNode`)."""
        node = self.node(hostname)
        self.nodes[node.id] = replace(node, **fields)  # pyright: ignore[reportArgumentType] - the test's own
        self.managers.node_changed(node.id)

    def set_availability(self, hostname: str, availability: str) -> None:
        """As `docker node update`: "active", "pause" or "drain"."""
        self.change(hostname, availability=availability)

    async def lose(self, hostname: str) -> None:
        """It is gone for everybody: no answer, and the managers say "down"."""
        await self.engine(hostname).go_down()
        self.change(hostname, state="down", message="heartbeat failure", is_reachable=False, is_leader=False)

    async def cut_off(self, hostname: str) -> None:
        """This server cannot reach its engine; for the managers it is ready."""
        await self.engine(hostname).go_down()

    def bring_back(self, hostname: str) -> None:
        """It answers again; its containers are as they were."""
        self.engine(hostname).come_back()
        self.change(hostname, state="ready", message="", is_reachable=True)

    def remove_node(self, hostname: str) -> None:
        """As `docker node rm`: the managers no longer know it."""
        node = self.nodes.pop(self.node(hostname).id)
        self.managers.node_changed(node.id)

    @contextmanager
    def unheard(self) -> Generator[None]:
        """What happens meanwhile no event tells of."""
        worlds = (self.managers, *self.engine_of.values())
        for world in worlds:
            world.is_quiet = True
        try:
            yield
        finally:
            for world in worlds:
                world.is_quiet = False

    @property
    def has_majority(self) -> bool:
        """Whether the managers can decide."""
        managers = [node for node in self.nodes.values() if node.is_manager]
        return not self.is_leaderless and 2 * sum(node.is_ready for node in managers) > len(managers)

    @asynccontextmanager
    async def counted(self, call: str) -> AsyncGenerator[None]:
        """A call to anybody."""
        async with self._called(call):
            yield


class FakeNode(FakeEngine):
    """A node's engine, as the door to the nodes gives it: networks that span the nodes are the managers'."""

    def __init__(self, swarm: FakeSwarm, node: SwarmNode, number: int) -> None:
        super().__init__()
        self._swarm = swarm
        self._node = node
        self.about = replace(
            INFO, engine_id=f"fake-{node.hostname}", architecture=node.architecture, swarm_node=node.id
        )
        self._numbers = itertools.count(number * NUMBERS)
        # Joining one of the swarm's networks brings it to the node; what is written goes to the first of the two.
        self.networks = ChainMap({}, swarm.overlays)  # pyright: ignore[reportAttributeAccessIssue]

    async def create_network(
        self, name: str, labels: Mapping[str, str], *, is_internal: bool, subnet: str = ""
    ) -> None:
        if name.startswith(SHARED):
            await self._swarm.managers.create_overlay(OverlaySpec(name=name, labels=labels, subnet=subnet))
        else:
            await super().create_network(name, labels, is_internal=is_internal, subnet=subnet)

    async def inspect_network(self, name: str) -> Network:
        if name.startswith(SHARED):
            return await self._swarm.managers.overlay(name)
        return await super().inspect_network(name)

    async def remove_network(self, name: str) -> None:
        if name.startswith(SHARED):
            await self._swarm.managers.remove_overlay(name)
        else:
            await super().remove_network(name)

    async def list_networks(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        return tuple(found for found in await super().list_networks(labels) if found.driver != "overlay")

    def joined(self, name: str) -> int:
        """How many of its containers are in a network."""
        return self._joined(name)

    def has_image(self, name: str) -> bool:
        """Whether a task could start with it."""
        return name in self.images

    @asynccontextmanager
    async def _called(self, call: str) -> AsyncGenerator[None]:
        async with self._swarm.counted(f"{self._node.hostname}.{call}"):
            if self._node.hostname in self._swarm.unnamed:
                raise EngineUnavailableError(
                    f"nobody said how the engine of node {self._node.hostname!r} is reached: name it with --node"
                )
            if self._is_down:
                raise EngineUnavailableError(
                    f"the engine of node {self._node.hostname!r} at memory:// does not answer: no route to host"
                )
            async with super()._called(call):
                yield


class FakeNodeEngines:
    """See `ws_mcp.core.engine.swarm_port.NodeEngines`."""

    def __init__(self, swarm: FakeSwarm) -> None:
        self._swarm = swarm

    def engine(self, node: SwarmNode) -> FakeNode:
        return self._swarm.engine_of[node.id]

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
