"""The execds of dev containers, as far as a test says that they can be brought there."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from ws_mcp.core.devcontainers.merged import Cleared
from ws_mcp.core.devcontainers.model import Record
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId, PlaceId


class FakeInside:
    """See `ws_mcp.core.devcontainers.port.Inside`. `refuses`: raised until it is None; `gate`: waited for first."""

    def __init__(self) -> None:
        self.refuses: Exception | None = None
        self.gate: anyio.Event | None = None
        self.arrived: list[ContainerId] = []
        self.busy = self.most_busy = 0

    async def arrive(self, cleared: Cleared, record: Record) -> PlaceAddress:
        container = cleared.container
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        try:
            await anyio.lowlevel.checkpoint()
            if self.gate is not None:
                await self.gate.wait()
            if self.refuses is not None:
                raise self.refuses
            self.arrived.append(container.id)
        finally:
            self.busy -= 1
        return PlaceAddress(
            place=PlaceId(f"dev-{container.id[:12]}"),
            container=container.id,
            binary="/x",
            directory="/y",
            user=record.user,
        )
