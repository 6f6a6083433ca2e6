"""The door to the managers of a swarm, and the one to its nodes.

Any manager that answers is asked; while they elect a leader a call waits for that, as long as its deadline lets it.
Every call may raise `EngineUnavailableError` (no manager can be asked now, or they have no majority),
`EngineTimeoutError` and `EngineError` beside the errors that it names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ws_mcp.core.engine.model import EngineEvent, Network
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.swarm_model import OverlaySpec, Room, RoomSpec, SwarmNode


class Managers(Protocol):
    """The managers of one swarm."""

    async def swarm_id(self) -> str:
        """Which swarm it is; always the same."""
        ...

    async def nodes(self) -> tuple[SwarmNode, ...]:
        """All nodes, by their host names."""
        ...

    async def rooms(self, labels: Mapping[str, str]) -> tuple[Room, ...]:
        """All rooms that carry all `labels` (an empty value matches any), with their newest tasks, oldest first."""
        ...

    async def room(self, name: str) -> Room:
        """One room by its name.

        Raises:
            EngineNotFoundError: the managers answered that there is none.
        """
        ...

    async def create_room(self, spec: RoomSpec) -> None:
        """Make a room; where it will be is seen soon after.

        Raises:
            EngineConflictError: the name is taken.
        """
        ...

    async def change_room(self, room: Room, spec: RoomSpec) -> None:
        """Make a room be as `spec`, under the same name and labels or other ones.

        Raises:
            EngineNotFoundError: it is gone.
            EngineConflictError: it was changed by somebody else since it was looked at.
        """
        ...

    async def remove_room(self, room: Room) -> None:
        """Remove; one that is gone is no error."""
        ...

    async def create_overlay(self, spec: OverlaySpec) -> None:
        """Make a network over all nodes that containers may join.

        Raises:
            EngineConflictError: the name is taken.
            SubnetTakenError: the subnet overlaps another, or none is left.
        """
        ...

    async def overlay(self, name: str) -> Network:
        """One overlay network.

        Raises:
            EngineNotFoundError
        """
        ...

    async def overlays(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        """All overlay networks that carry all `labels`."""
        ...

    async def remove_overlay(self, name: str) -> None:
        """Remove; one that is gone is no error.

        Raises:
            EngineConflictError: a container is in it.
        """
        ...

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """Events of services and nodes from now on; iteration ends when the manager closes the stream."""
        ...

    async def aclose(self) -> None:
        """Close what is kept open."""
        ...


class NodeEngines(Protocol):
    """The engines of the nodes; none is connected before it is asked something."""

    def engine(self, node: SwarmNode) -> Engine:
        """The node's own engine, always the same object. It counts only if it says that it is that node.

        Each of its calls may raise `EngineUnavailableError`: the node cannot be reached, nobody said how, or another
        engine answers there. Networks whose names are those of overlays are looked for at the managers.
        """
        ...

    async def aclose(self) -> None:
        """Close what is kept open."""
        ...
