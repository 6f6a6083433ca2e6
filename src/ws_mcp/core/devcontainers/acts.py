"""Starts, stops and removes dev containers by the engine: the CLI can do none of that.

A compose project is one thing. Its volumes are kept in any case.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.kept import Kept
from ws_mcp.core.devcontainers.lifecycle import Act, check_allowed
from ws_mcp.core.devcontainers.model import Acted, DevContainer, Status
from ws_mcp.core.devcontainers.recreate import folder_if_free
from ws_mcp.core.devcontainers.sightings import PROJECT
from ws_mcp.core.devcontainers.units import unit_of
from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineNotFoundError, NotFoundError
from ws_mcp.core.ids import ContainerId

STOP_GRACE_S = 10.0


class Acts:
    """What is done to dev containers that are there. `only`: a duplicate, which is one container."""

    def __init__(self, ground: Ground, kept: Kept) -> None:
        self._ground = ground
        self._kept = kept

    async def start(self, found: DevContainer, warning: str) -> Acted:
        """Start it as it is: no hook runs.

        Raises:
            ConflictError, EngineError
            ForbiddenError: it is more than the operator allows.
        """
        async with self._acting(Act.START, Status.STARTING, found, None) as unit:
            await self._ground.policing.check_unit(found.name, found.key, unit)
            for container in unit:
                if container.state is ContainerState.PAUSED:
                    await self._ground.engine.unpause(container.id)
                else:
                    await self._ground.engine.start(container.id)
        return await self._acted(found, unit, warning)

    async def stop(self, found: DevContainer, only: ContainerId | None) -> Acted:
        """Stop it, who depends on others first.

        Raises:
            ConflictError, EngineError
        """
        async with self._acting(Act.STOP, Status.STOPPING, found, only) as unit:
            ended = await self._running(unit)
            await self._stop(unit)
        return replace(await self._acted(found, unit), ended_processes=ended)

    async def remove(self, found: DevContainer, only: ContainerId | None) -> Acted:
        """Stop and remove it, with the networks of its project.

        Raises:
            ConflictError, EngineError
        """
        async with self._acting(Act.REMOVE, Status.DELETING, found, only) as unit:
            ended = await self._running(unit)
            await self._stop(unit)
            for container in reversed(unit):
                await self._ground.engine.remove(container.id)
            if only is None and found.project:
                await self._remove_networks(found.project)
        return replace(await self._acted(found, unit), ended_processes=ended)

    @asynccontextmanager
    async def _acting(
        self, act: Act, status: Status, found: DevContainer, only: ContainerId | None
    ) -> AsyncGenerator[tuple[Container, ...]]:
        """Hold it, show that it is held, and keep what went wrong."""
        async with folder_if_free(self._ground, self._kept, found.key, found.name):
            now = await self._kept.at(found.key)
            if only is None:
                check_allowed(act, now.status, now.name)
            unit = self._unit(now, only)
            with self._kept.acting(found.key, status):
                try:
                    yield unit
                except EngineError as error:
                    await self._ground.records.set_error(found.key, f"it could not {act.value}: {error}")
                    raise
                await self._ground.records.set_error(found.key, "")

    def _unit(self, found: DevContainer, only: ContainerId | None) -> tuple[Container, ...]:
        sighting = self._kept.sighting_of(found.key)
        if sighting is None:
            return ()
        return unit_of(sighting) if only is None else tuple(c for c in sighting.duplicates if c.id == only)

    async def _running(self, unit: tuple[Container, ...]) -> int | None:
        """The processes of all chats in it, by its execd; None: there is none that answers."""
        there = {each.id for each in unit if each.state is ContainerState.RUNNING}
        addresses = [address for container, address in self._kept.arrivals.addresses.items() if container in there]
        counts = [await self._ground.running(address) for address in addresses]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    async def _stop(self, unit: tuple[Container, ...]) -> None:
        for container in reversed(unit):
            try:
                await self._ground.engine.stop(container.id, STOP_GRACE_S)
            except EngineNotFoundError:
                continue  # it went by itself

    async def _remove_networks(self, project: str) -> None:
        for network in await self._ground.engine.list_networks({PROJECT: project}):
            try:
                await self._ground.engine.remove_network(network.name)
            except (EngineConflictError, EngineNotFoundError):
                continue  # somebody else's container has joined it, or it is gone

    async def _acted(self, found: DevContainer, unit: tuple[Container, ...], warning: str = "") -> Acted:
        try:
            now = await self._kept.at(found.key)
        except NotFoundError:
            now = None  # it was removed, and there is no definition either
        names = tuple(container.name for container in unit)
        return Acted(devcontainer=now, containers=names, warnings=(warning,) if warning else ())
