"""Brings the image that rooms are held with to each node to which Swarm could send one."""

from __future__ import annotations

import logging

import anyio

from ws_mcp.core.engine.swarm_model import NodeId
from ws_mcp.core.errors import EngineError
from ws_mcp.core.execd.binaries import NoBinaryError
from ws_mcp.core.execd.hold import ensure_hold
from ws_mcp.core.placement.keepers import Keeper, Keepers

log = logging.getLogger(__name__)

WAIT_S = 20.0  # that a node has to take it: some megabytes over whatever leads there


async def ensure_everywhere(keepers: Keepers) -> frozenset[NodeId]:
    """Bring it to every node that Swarm could choose; returns those where nothing can be made: they do not answer."""
    failed: set[NodeId] = set()
    async with anyio.create_task_group() as tasks:
        for keeper in await keepers.opened():
            if keeper.node is None or not keeper.node.is_ready:
                continue  # Swarm does not choose it either
            if keeper.unreachable:
                failed.add(keeper.id)
            elif not keeper.has_hold:
                tasks.start_soon(_bring, keepers, keeper, failed)
    return frozenset(failed)


async def _bring(keepers: Keepers, keeper: Keeper, failed: set[NodeId]) -> None:
    failed.add(keeper.id)
    with anyio.move_on_after(WAIT_S) as patience:
        try:
            await ensure_hold(keeper.engine, keeper.architecture)
        except NoBinaryError as error:
            log.warning("no workspace can be on node %s: %s", keeper.hostname, error)
        except EngineError as error:
            keepers.silent(keeper, str(error))
        else:
            keeper.has_hold = True
            failed.discard(keeper.id)
    if patience.cancelled_caught:
        keepers.silent(keeper, f"it did not answer within {WAIT_S:g} s")
