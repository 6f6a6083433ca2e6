"""What everybody does who keeps a list of containers true: hears events for ever, and inspects many at a time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

import anyio

from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineNotFoundError
from ws_mcp.core.ids import ContainerId

log = logging.getLogger(__name__)

INSPECTS = 8  # at once; more only make each slower
STEADY_S = 30.0  # a stream that lived for so long was in order


async def listen_on(
    listen: Callable[[], Awaitable[None]], deaf: Callable[[], None], reopen_s: tuple[float, float]
) -> None:
    """Open the engine's events again whenever they end. `deaf`: called each time that they cannot be heard any more.

    `reopen_s`: the first and the longest pause before that.
    """
    pause_s, longest_s = reopen_s
    while True:
        began = anyio.current_time()
        try:
            await listen()
            log.info("the engine ended its stream of events")
        except EngineError as error:
            log.info("events of the engine cannot be heard now: %s", error)
        finally:
            deaf()
        if anyio.current_time() - began >= STEADY_S:
            pause_s = reopen_s[0]
        await anyio.sleep(pause_s)
        pause_s = min(2 * pause_s, longest_s)


async def inspected(engine: Engine, containers: Iterable[Container]) -> tuple[dict[ContainerId, Container | None], str]:
    """Those that could be looked at (None: gone), and why one could not."""
    looked: dict[ContainerId, Container | None] = {}
    failures: list[str] = []
    limit = anyio.Semaphore(INSPECTS)

    async def inspect(container: Container) -> None:
        async with limit:
            try:
                looked[container.id] = await engine.inspect(container.id)
            except EngineNotFoundError:
                looked[container.id] = None
            except EngineError as error:
                failures.append(str(error))

    async with anyio.create_task_group() as tasks:
        for container in containers:
            tasks.start_soon(inspect, container)
    return looked, next(iter(failures), "")
