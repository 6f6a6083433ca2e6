"""What everybody does at a look who keeps a list of containers true: inspects what is due, many at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

import anyio

from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineNotFoundError
from ws_mcp.core.ids import ContainerId

INSPECTS = 8  # at once; more only make each slower


class Seen(Protocol):
    """One container as a listing would have shown it when it was inspected last, and when that was."""

    @property
    def listed(self) -> Container: ...

    @property
    def inspected_at(self) -> float: ...


def due(
    seen: Mapping[ContainerId, Seen], listed: Iterable[Container], marked: Collection[str], inspected_before: float
) -> tuple[Container, ...]:
    """Which of the listed have to be inspected: new ones, changed ones, those that an event was about, and old news."""
    return tuple(
        container
        for container in listed
        if (before := seen.get(container.id)) is None
        or before.listed != container
        or container.id in marked
        or before.inspected_at < inspected_before
    )


def listed_as_found(listed: Container, found: Container) -> Container:
    """What a listing would have shown at the inspection: between the two a container may have started, or ended."""
    return listed if listed.state is found.state else replace(listed, state=found.state)


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
