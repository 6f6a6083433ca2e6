"""The container workspaces of a server, wherever they are: on its one engine, or on the nodes of a swarm."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.swarm_model import HERE
from ws_mcp.core.execd.dial import EngineOf
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.placement.opening import Ground, Placement, Swarm, open_placement
from ws_mcp.core.workspaces.keeping import Keeping


class Reach:
    """Which engine has a container; those of nodes are known once placement is opened."""

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine
        self.of_nodes: EngineOf | None = None

    def __call__(self, address: PlaceAddress) -> Engine | None:
        """See `EngineOf`."""
        if address.node == HERE or self.of_nodes is None:
            return self._engine
        return self.of_nodes(address)


@asynccontextmanager
async def open_kept(
    engine: Engine | None, swarm: Swarm | None, reach: Reach, ground: Ground
) -> AsyncGenerator[Keeping | Placement | None]:
    """Own the tasks that keep them; None: this server has no engine."""
    if swarm is not None:
        async with open_placement(swarm, ground) as placement:
            reach.of_nodes = placement.keepers.engine_of
            yield placement
    elif engine is not None:
        async with ground.open_on(engine) as keeping:
            yield keeping
    else:
        yield None
