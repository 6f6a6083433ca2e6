"""The places of one chat as last looked up, so that not every call has to ask the container engine."""

from __future__ import annotations

from contextlib import suppress

import anyio

from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import PlaceId, WorkspaceName
from ws_mcp.core.processes.port import PlaceOf, PlaceRef, PlacesOf, PlacesUnknownError

FRESH_S = 10.0  # how old a list of places may be where only a limit depends on it
LISTING_S = 2.0  # how long such a list is waited for: a hung engine must not hold up starts
SILENT_S = 30.0  # for so long a place, or an engine, that kept a start waiting is not asked again for a limit


class Atlas:
    """Where the processes of the chat can be."""

    def __init__(self, places_of: PlacesOf, place_of: PlaceOf) -> None:
        self._places_of = places_of
        self._place_of = place_of
        self._refs: dict[PlaceId, PlaceRef] = {}
        self._listed_at = float("-inf")

    async def all(self, *, is_fresh: bool = False) -> tuple[PlaceRef, ...]:
        """All places, looked up now; with `is_fresh` by a look that begins now.

        Raises:
            EngineError: not all can be told; those that can are known from now on.
        """
        try:
            refs = await self._places_of(is_fresh=is_fresh)
            if not is_fresh and self._lacks(refs):
                # An event may be late, or lost: that something is gone is only said after a look that began now.
                refs = await self._places_of(is_fresh=True)
        except PlacesUnknownError as error:
            self._refs |= {ref.place: ref for ref in error.known}
            raise
        self._refs = {ref.place: ref for ref in refs}
        self._listed_at = anyio.current_time()
        return refs

    async def of(self, workspace: WorkspaceName | None) -> PlaceRef:
        """The place that a start means; raises what the workspaces say."""
        ref = await self._place_of(workspace)
        self._refs[ref.place] = ref
        return ref

    async def others(self, place: PlaceId) -> tuple[PlaceRef, ...]:
        """The running places beside `place`, as of ten seconds ago at most, or as known when the engine is silent."""
        now = anyio.current_time()
        if now - self._listed_at > FRESH_S:
            self._listed_at = now  # before the wait: of many starts at once one asks
            with anyio.move_on_after(LISTING_S) as patience, suppress(EngineError):
                await self.all()
            if patience.cancelled_caught:
                self._listed_at = now + SILENT_S - FRESH_S
        return tuple(ref for ref in self._refs.values() if ref.is_running and ref.place != place)

    async def obstacle(self, place: PlaceRef) -> str:
        """What keeps a place from answering, looked up now; "" where nothing is known to."""
        with anyio.move_on_after(LISTING_S), suppress(EngineError):
            await self.all()
        now = self._refs.get(place.place)
        return now.obstacle if now is not None else ""

    def known(self) -> tuple[PlaceRef, ...]:
        """All places as last looked up."""
        return tuple(self._refs.values())

    def _lacks(self, refs: tuple[PlaceRef, ...]) -> bool:
        """Whether a place that ran is not among these, or does not run, or is elsewhere."""
        running = {ref.address for ref in refs if ref.is_running}
        return any(each.is_running and each.address not in running for each in self._refs.values())

    def at(self, place: PlaceId) -> PlaceRef | None:
        """One place as last looked up."""
        return self._refs.get(place)
