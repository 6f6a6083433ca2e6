"""Connections to the places of a chat that somebody watches: an execd tells of what happens to who is connected."""

from __future__ import annotations

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.processes.finder import Finder
from ws_mcp.core.processes.port import ClientOf, PlaceRef


class Hearing:
    """Which connections were there when it was last looked."""

    def __init__(self, client_of: ClientOf, finder: Finder) -> None:
        self._client_of = client_of
        self._finder = finder
        self._heard: dict[PlaceId, ExecdClient] = {}

    async def attend(self) -> bool:
        """Be connected to every place that answers; whether one is newly so, and may have had unheard news before.

        Raises:
            EngineError: the places cannot be listed now; the connections that there are stay.
        """
        heard: dict[PlaceId, ExecdClient] = {}

        async def connect(place: PlaceRef) -> None:
            try:
                heard[place.place] = await self._client_of(place)
            except WsError:
                return  # it is tried again with the next look

        async with anyio.create_task_group() as tasks:
            for place in await self._finder.places():
                if not place.obstacle:
                    tasks.start_soon(connect, place)
        before, self._heard = self._heard, heard
        return any(before.get(place) is not client for place, client in heard.items())
