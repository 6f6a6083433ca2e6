"""Brings execd into the dev containers that run: once for each start of a container, again when it failed."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.sightings import Sighting
from ws_mcp.core.devcontainers.workqueue import WorkQueue
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import PlaceUnavailableError, WsError
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId, PlaceId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One container that runs, and what is known of it."""

    sighting: Sighting
    record: Record

    @property
    def version(self) -> str:
        """Another one for each start: no process survives the end of its container."""
        return str(self.sighting.container.started_at)


class Arrivals:
    """The execds of dev containers; made by `open_arrivals`. `addresses` and `errors` are by container."""

    def __init__(self, ground: Ground, on_change: Callable[[], None], tasks: TaskGroup) -> None:
        self._ground = ground
        self._on_change = on_change
        self._queue = WorkQueue(self._work, tasks)
        self._wanted: dict[ContainerId, _Wanted] = {}
        self.addresses: dict[ContainerId, PlaceAddress] = {}
        self.errors: dict[ContainerId, str] = {}

    async def want(
        self, sightings: tuple[Sighting, ...], records: Mapping[ContainerId, Record], busy: Collection[Key]
    ) -> None:
        """These are the dev containers now; execd is to be in all of them that run, and in no other.

        `busy`: those that something is done to. What is new of them is not known yet, above all its user.
        """
        self._wanted = {
            sighting.container.id: _Wanted(sighting=sighting, record=_record_of(sighting, records))
            for sighting in sightings
            if sighting.container.state is ContainerState.RUNNING
            and (sighting.key not in busy or sighting.container.id in self._wanted)
        }
        self._queue.only(self._wanted.keys())
        for container, wanted in self._wanted.items():
            self._queue.want(container, wanted.version)
        # What is paused is in it still, and its processes are not lost.
        there = self._wanted.keys() | {s.container.id for s in sightings if s.container.state is ContainerState.PAUSED}
        gone = [(c, address.place) for c, address in self.addresses.items() if c not in there]
        for container, place in gone:
            del self.addresses[container]
            await self._ground.drop(place)
        self.errors = {c: error for c, error in self.errors.items() if c in self._wanted}

    async def address(self, container: ContainerId, name: str) -> PlaceAddress:
        """How to reach the execd of a container that runs; waits for one attempt to bring it there.

        Raises:
            PlaceUnavailableError
        """
        await self._queue.until_tried(container)
        address = self.addresses.get(container)
        if address is None:
            why = self.errors.get(container, "its container does not run now")
            raise PlaceUnavailableError(f"nothing can be run in dev container {name!r}: {why}")
        return address

    async def tried(self) -> None:
        """Wait until it was tried once for each that runs."""
        for container in tuple(self._wanted):
            await self._queue.until_tried(container)

    def lost(self, place: PlaceId) -> None:
        """The execd of this place does not answer any more: see to it that it does, if its container runs."""
        for container, address in self.addresses.items():
            if address.place == place:
                self._queue.again(container)

    async def _work(self, key: str, _version: str) -> None:
        container = ContainerId(key)
        wanted = self._wanted.get(container)
        if wanted is None:
            return
        try:
            cleared = await self._ground.policing.clear(wanted.sighting.container, wanted.record)
            address = await self._ground.inside.arrive(cleared, wanted.record)
        except WsError as error:
            self.addresses.pop(container, None)
            self.errors[container] = str(error)
            raise
        else:
            self.errors.pop(container, None)
            if container in self._wanted:
                self.addresses[container] = address
        finally:
            self._on_change()


@asynccontextmanager
async def open_arrivals(ground: Ground, on_change: Callable[[], None]) -> AsyncGenerator[Arrivals]:
    """Own the work; leaving the block cancels it. What is in the containers stays."""
    async with anyio.create_task_group() as tasks:
        yield Arrivals(ground, on_change, tasks)
        tasks.cancel_scope.cancel()


def _record_of(sighting: Sighting, records: Mapping[ContainerId, Record]) -> Record:
    nothing_known = Record(container=sighting.container.id, key=sighting.key, parts={}, is_adopted=True)
    return records.get(sighting.container.id, nothing_known)
