"""Waiting for the answer of a place that should have come by now: what stands in its way is looked up meanwhile.

A paused container takes requests and answers nothing. A call whose answer comes in time costs nothing here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.failures import ExecdUnavailableError
from ws_mcp.core.processes.port import PlaceRef

PATIENCE_S = 1.0  # a place answers within milliseconds; only waits take longer
PONG_S = 0.5  # ... and a place that waits still answers pings
LOOK_EVERY_S = 5.0

ObstacleOf = Callable[[PlaceRef], Awaitable[str]]
"""Why a place cannot answer now, looked up; "" where nothing is known to be in its way."""


async def no_obstacle(_place: PlaceRef) -> str:
    """Nothing is in its way."""
    return ""


async def wait_for(
    done: anyio.Event, timeout_s: float, *, client: ExecdClient, obstacle_of: Callable[[], Awaitable[str]]
) -> None:
    """Wait for at most `timeout_s`, and look from time to time whether the answer can come at all.

    Raises:
        ExecdUnavailableError: it cannot.
    """
    with anyio.move_on_after(min(timeout_s, PATIENCE_S)):
        await done.wait()
        return
    with anyio.move_on_after(timeout_s - PATIENCE_S):
        while not await _came(done, client, obstacle_of):
            continue


async def _came(done: anyio.Event, client: ExecdClient, obstacle_of: Callable[[], Awaitable[str]]) -> bool:
    if not await _pongs(client):
        obstacle = await obstacle_of()
        if obstacle and not done.is_set():
            raise ExecdUnavailableError(obstacle, was_sent=True)
    with anyio.move_on_after(LOOK_EVERY_S):
        await done.wait()
    return done.is_set()


async def _pongs(client: ExecdClient) -> bool:
    try:
        await client.call("ping", {}, timeout_s=PONG_S)
    except WsError:
        return False
    return True
