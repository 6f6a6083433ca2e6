"""The engine door's calls of Swarm's API, which only a manager answers; `swarm` makes sense of them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType

from ws_mcp.core.engine import answers, stream
from ws_mcp.core.engine.calls import EngineCalls
from ws_mcp.core.engine.connection import NONE
from ws_mcp.core.engine.context import Endpoint
from ws_mcp.core.engine.faults import Call
from ws_mcp.core.engine.model import EngineEvent, Network
from ws_mcp.core.engine.record import Record, listed_of
from ws_mcp.core.engine.sdk import asked_of_swarm, carries, filters_of
from ws_mcp.core.engine.swarm_body import node_of, room_of, rooms_of, service_of
from ws_mcp.core.engine.swarm_model import OverlaySpec, Room, RoomSpec, SwarmNode
from ws_mcp.core.errors import EngineNotFoundError

NO_FILTERS: Mapping[str, list[str]] = MappingProxyType({})
MAX_NAMED = 50  # rooms whose tasks are asked for by name; for more, all tasks of the swarm are


class EngineSwarm(EngineCalls):
    """What one manager says and does; names and subnets were checked by `swarm.SwarmManagers`."""

    async def swarm_id(self) -> str:
        """The swarm's id."""
        return Record(await self._ask(Call.SWARM, "", "swarm")).text("ID")

    async def swarm_nodes(self) -> tuple[SwarmNode, ...]:
        """All nodes, by their host names."""
        found = await self._list(Call.NODES, "nodes")
        return tuple(sorted(map(node_of, found), key=lambda node: (node.hostname, node.id)))

    async def swarm_rooms(self, labels: Mapping[str, str]) -> tuple[Room, ...]:
        """See `Managers.rooms`."""
        found = await self._list(Call.ROOMS, "services", filters_of(labels))
        tasks = await self._tasks([service.text("ID") for service in found])
        return tuple(room for room in rooms_of(found, tasks) if carries(room.spec.labels, labels))

    async def swarm_room(self, name: str) -> Room:
        """See `Managers.room`."""
        service = Record(await self._ask(Call.ROOM, name, f"services/{name}"))
        # The managers take the beginning of an id, too.
        if service.record("Spec").text("Name") != name:
            raise EngineNotFoundError(f"could not {Call.ROOM} {name!r}: no such service")
        return room_of(service, await self._tasks([service.text("ID")]))

    async def swarm_create_room(self, spec: RoomSpec) -> None:
        """See `Managers.create_room`."""
        await self._tell(Call.CREATE_ROOM, spec.name, "POST services/create", body=service_of(spec))

    async def swarm_change_room(self, room: Room, spec: RoomSpec) -> None:
        """See `Managers.change_room`; every version counts here, also those that Swarm makes by itself."""
        version = {"version": str(room.version)}
        await self._tell(Call.CHANGE_ROOM, spec.name, f"POST services/{room.id}/update", version, service_of(spec))

    async def swarm_remove_room(self, room: Room) -> None:
        """See `Managers.remove_room`."""
        with suppress(EngineNotFoundError):
            await self._tell(Call.REMOVE_ROOM, room.spec.name, f"DELETE services/{room.id}")

    async def swarm_create_overlay(self, spec: OverlaySpec) -> None:
        """Ask for a network; whether it got a subnet is seen later."""
        pool = {"Driver": "default", "Config": [{"Subnet": spec.subnet}]} if spec.subnet else {"Driver": "default"}
        body: dict[str, object] = {
            "Name": spec.name,
            "Driver": "overlay",
            "CheckDuplicate": True,
            "Attachable": True,
            "Labels": dict(spec.labels),
            "IPAM": pool,
        }
        await self._tell(Call.CREATE_OVERLAY, spec.name, "POST networks/create", body=body)

    async def swarm_overlay(self, name: str) -> Network:
        """A network of the swarm by its name, whether or not it has a subnet yet."""
        found = Record(await self._ask(Call.OVERLAY, name, f"networks/{name}", params={"scope": "swarm"}))
        if found.text("Name") != name:
            raise EngineNotFoundError(f"could not {Call.OVERLAY} {name!r}: no such network")
        return answers.network_of(found)

    async def swarm_overlays(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        """See `Managers.overlays`."""
        filters = {**filters_of(labels), "scope": ["swarm"]}
        networks = map(answers.network_of, await self._list(Call.OVERLAYS, "networks", filters))
        return tuple(network for network in networks if carries(network.labels, labels))

    async def swarm_remove_overlay(self, name: str) -> None:
        """See `Managers.remove_overlay`."""
        with suppress(EngineNotFoundError):
            await self._tell(Call.REMOVE_OVERLAY, name, f"DELETE networks/{name}")

    async def swarm_endpoint(self) -> Endpoint:
        """Where the engine was found."""
        return (await self._target()).endpoint

    @asynccontextmanager
    async def swarm_events(self) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        """See `Managers.open_events`."""
        async with stream.open_events(await self._target(), ("service", "node")) as events:
            yield events

    async def _tasks(self, services: list[str]) -> tuple[Record, ...]:
        if not services:
            return ()
        filters = {"service": services} if len(services) <= MAX_NAMED else {}
        return await self._list(Call.ROOMS, "tasks", filters)

    async def _list(self, call: Call, path: str, filters: Mapping[str, list[str]] = NO_FILTERS) -> tuple[Record, ...]:
        params = {"filters": json.dumps(filters)} if filters else NONE
        return await self._look(call, "", lambda sdk: listed_of(asked_of_swarm(sdk, "GET", path, params, None)))

    async def _ask(self, call: Call, subject: str, path: str, params: Mapping[str, str] = NONE) -> object:
        return await self._look(call, subject, lambda sdk: asked_of_swarm(sdk, "GET", path, params, None))

    async def _tell(
        self,
        call: Call,
        subject: str,
        request: str,
        params: Mapping[str, str] = NONE,
        body: Mapping[str, object] | None = None,
    ) -> None:
        method, _, path = request.partition(" ")
        await self._act(call, subject, lambda sdk: asked_of_swarm(sdk, method, path, params, body))
