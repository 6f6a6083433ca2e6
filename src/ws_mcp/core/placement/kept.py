"""The container workspaces of a server, wherever they are: on its one engine, or on the nodes of a swarm."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ws_mcp.core.changes import Changes
from ws_mcp.core.clock import Now
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.swarm_model import HERE
from ws_mcp.core.execd.dial import EngineOf
from ws_mcp.core.execd.places import PlaceAddress, Places
from ws_mcp.core.own_acts import OwnActs
from ws_mcp.core.placement.opening import Placement, Swarm, open_placement
from ws_mcp.core.state import State
from ws_mcp.core.workspaces.keeping import Keeping, open_keeping
from ws_mcp.core.workspaces.rules import RulesOf, WorkspaceRules


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
    engine: Engine | None,
    swarm: Swarm | None,
    reach: Reach,
    state: State,
    places: Places,
    *,
    rules_of: RulesOf,
    defaults: WorkspaceRules,
    acts: OwnActs,
    changes: Changes,
    now: Now,
) -> AsyncGenerator[Keeping | Placement | None]:
    """Own the tasks that keep them; None: this server has no engine."""
    if swarm is not None:
        placed = open_placement(swarm, state, places, rules_of, defaults, acts=acts, changes=changes, now=now)
        async with placed as placement:
            reach.of_nodes = placement.keepers.engine_of
            yield placement
    elif engine is not None:
        opened = open_keeping(engine, state, places, rules_of, defaults, acts=acts, changes=changes, now=now)
        async with opened as keeping:
            yield keeping
    else:
        yield None
