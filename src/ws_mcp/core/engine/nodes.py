"""The engines of a swarm's nodes: each on a connection of its own, which counts only if that node is at its end.

A network that containers of all nodes share is the managers', whichever node is asked for it: a node hears of one only
when a container there joins it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from ws_mcp.core.engine.context import Endpoint
from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.link import Link
from ws_mcp.core.engine.model import Network
from ws_mcp.core.engine.node_ways import NodeWays
from ws_mcp.core.engine.swarm import DEADLINES, Patience, SwarmManagers
from ws_mcp.core.engine.swarm_model import NodeId, OverlaySpec, SwarmNode
from ws_mcp.core.engine.swarm_port import Managers
from ws_mcp.core.errors import EngineError, EngineTimeoutError, EngineUnavailableError

SHARED = "wsmcp-net-"  # how the names of networks begin that span the nodes; see `workspaces.naming`
OVERLAY = "overlay"


class CheckedEngine(DockerEngine):
    """The engine of one node: where the ways lead, or the one that the server was given, if it is that node."""

    def __init__(self, node: SwarmNode, ways: NodeWays, here: DockerEngine, deadlines: Deadlines) -> None:
        super().__init__(deadlines=deadlines)
        self.node = node
        self._swarm_node = node.id
        self._ways = ways
        self._here = here
        self._finding = anyio.Lock()

    async def _linked(self) -> Link:
        if self._link is not None:
            return self._link
        try:
            with anyio.fail_after(self._deadlines.connect_s):
                async with self._finding:
                    if self._link is None:
                        # Each time: it may have got another address, and the server's own engine may be up by now.
                        self._endpoint = await self._found()
                    return await super()._linked()
        except TimeoutError as error:
            raise EngineTimeoutError(f"the engine of node {self.node.hostname!r} did not answer in time") from error

    async def _found(self) -> Endpoint:
        said = await anyio.to_thread.run_sync(self._ways.endpoint, self.node, limiter=self._lookers)
        try:
            here = (await self._here.info()).swarm_node
        except EngineError:
            here = ""
        if here == self.node.id:
            return await self._here.swarm_endpoint()
        if said is None:
            raise EngineUnavailableError(
                f"nobody said how the engine of node {self.node.hostname!r} is reached: name it with --node "
                f"{self.node.hostname}=ENDPOINT"
            )
        return said


class NodeEngine(CheckedEngine):
    """A `CheckedEngine` whose networks that span the nodes are the managers'."""

    def __init__(
        self, node: SwarmNode, ways: NodeWays, here: DockerEngine, deadlines: Deadlines, managers: Managers
    ) -> None:
        super().__init__(node, ways, here, deadlines)
        self._managers = managers

    async def create_network(
        self, name: str, labels: Mapping[str, str], *, is_internal: bool, subnet: str = ""
    ) -> None:
        if name.startswith(SHARED):
            await self._managers.create_overlay(OverlaySpec(name=name, labels=labels, subnet=subnet))
        else:
            await super().create_network(name, labels, is_internal=is_internal, subnet=subnet)

    async def inspect_network(self, name: str) -> Network:
        return await (self._managers.overlay(name) if name.startswith(SHARED) else super().inspect_network(name))

    async def remove_network(self, name: str) -> None:
        await (self._managers.remove_overlay(name) if name.startswith(SHARED) else super().remove_network(name))

    async def list_networks(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        """The node's own ones: of the others it does not know who is in them."""
        return tuple(found for found in await super().list_networks(labels) if found.driver != OVERLAY)


class SwarmNodeEngines:
    """See `swarm_port.NodeEngines`."""

    def __init__(self, make: Callable[[SwarmNode], CheckedEngine]) -> None:
        self._make = make
        self._made: dict[NodeId, CheckedEngine] = {}

    def engine(self, node: SwarmNode) -> CheckedEngine:
        made = self._made.get(node.id)
        if made is None:
            made = self._made[node.id] = self._make(node)
        made.node = node
        return made

    async def aclose(self) -> None:
        for made in self._made.values():
            await made.aclose()


@asynccontextmanager
async def open_swarm(
    endpoint: str,
    ways: NodeWays,
    *,
    environment: Mapping[str, str] = os.environ,
    deadlines: Deadlines = Deadlines(),  # noqa: B008 - frozen
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> AsyncGenerator[tuple[SwarmManagers, SwarmNodeEngines]]:
    """The doors to the swarm of the engine at `endpoint` (as for `DockerEngine`), which is one of its managers.

    Nothing is asked before the first call; leaving the block closes what is kept open.
    """
    here = DockerEngine(endpoint, environment, DEADLINES)
    asked = SwarmNodeEngines(lambda node: CheckedEngine(node, ways, here, DEADLINES))
    managers = SwarmManagers(here, asked.engine, patience)
    engines = SwarmNodeEngines(lambda node: NodeEngine(node, ways, here, deadlines, managers))
    try:
        yield managers, engines
    finally:
        for each in (engines, asked, managers):
            await each.aclose()
