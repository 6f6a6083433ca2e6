"""Work on the engine that a benchmark needs many times before it measures: some of it side by side."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import anyio

from ws_mcp.core.engine.docker import DockerEngine

CREATES = 8  # at once; more only make each slower


async def at_once(work: Callable[[DockerEngine], Coroutine[None, None, None]], count: int) -> None:
    """Do it so many times, on one engine."""
    engine, limit = DockerEngine(), anyio.Semaphore(CREATES)

    async def one() -> None:
        async with limit:
            await work(engine)

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
    await engine.aclose()
