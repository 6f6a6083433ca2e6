"""In which place a process of the chat is, and what to say when it is in none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ws_mcp.core.errors import (
    ConflictError,
    EngineError,
    NotFoundError,
    PlaceUnavailableError,
    WsError,
    one_line,
)
from ws_mcp.core.execd.failures import UnknownProcessError
from ws_mcp.core.execd.protocol import Reply, child
from ws_mcp.core.ids import ProcessId
from ws_mcp.core.processes import convert
from ws_mcp.core.processes.atlas import Atlas
from ws_mcp.core.processes.checks import is_process_id
from ws_mcp.core.processes.inquiry import Inquiry
from ws_mcp.core.processes.model import ProcessInfo
from ws_mcp.core.processes.port import ClientOf, PlaceRef, StartClaim, StartReceipts
from ws_mcp.core.processes.reach import OutcomeUnknownError, Question, unavailable
from ws_mcp.core.processes.roster import Roster

T = TypeVar("T")

NAMED = 20  # process ids that an error names


class LostProcessError(ConflictError):
    """The process ran when its execd ended. `info` where more than its id is known."""

    def __init__(self, process: ProcessId, reason: str, info: ProcessInfo | None = None) -> None:
        super().__init__(
            f"process {process} is lost ({reason}): how it ended is not known and its output is gone; "
            "start it again if it is still needed"
        )
        self.info = info


class Finder:
    """Asks the place that has a process."""

    def __init__(
        self, inquiry: Inquiry, client_of: ClientOf, atlas: Atlas, roster: Roster, receipts: StartReceipts
    ) -> None:
        self._inquiry = inquiry
        self._chat = inquiry.chat
        self._client_of = client_of
        self._atlas = atlas
        self._roster = roster
        self._receipts = receipts

    async def about(self, process: ProcessId, question: Question, take: Callable[[Reply, PlaceRef], T]) -> T:
        """Ask the execd that has the process.

        Raises:
            NotFoundError: the chat has none; says which it has.
            LostProcessError: it had.
            PlaceUnavailableError: whether it has is not known now.
        """
        place = await self._locate(process)
        try:
            return (await self._inquiry.ask(place, question, take)).value
        except UnknownProcessError as error:
            self._roster.forget(process)
            raise await self._missing(process) from error
        except OutcomeUnknownError:
            raise
        except PlaceUnavailableError:
            moved = await self._moved(place, process)
            if moved is None:
                raise
            return (await self._inquiry.ask(moved, question, take)).value

    async def info(self, process: ProcessId) -> ProcessInfo:
        """One process as it is now; raises what `about` raises."""
        return await self.about(process, self._get(process), self._info_of(process))

    async def places(self) -> tuple[PlaceRef, ...]:
        """All places of the chat that run now, or would but for an obstacle; what ran in the others is lost.

        Raises:
            EngineError
        """
        await self._atlas.all()
        return self.settle()

    def settle(self) -> tuple[PlaceRef, ...]:
        """The same as of the last look, after everything that was asked before it has been answered."""
        refs = self._atlas.known()
        self._roster.keeps(ref.place for ref in refs)
        for ref in refs:
            if not ref.is_running and not ref.obstacle:
                self._roster.gone(ref.place, f"workspace {ref.workspace!r} {ref.ended}")
        return tuple(ref for ref in refs if ref.is_running or ref.obstacle)

    async def _locate(self, process: ProcessId) -> PlaceRef:
        known = self._roster.find(process)
        place = self._atlas.at(known.info.place) if known is not None else None
        return place if place is not None else await self._search(process)

    async def _search(self, process: ProcessId) -> PlaceRef:
        if not is_process_id(process):
            raise await self._missing(process)
        silent: list[WsError] = []
        try:
            found = await self._ask_each(await self.places(), process, silent)
            if found is None:
                # Of a new place no event may have told yet.
                before = self._atlas.known()
                await self._atlas.all(is_fresh=True)
                new = [ref for ref in self.settle() if ref not in before]
                found = await self._ask_each(new, process, silent)
        except EngineError as error:
            silent.append(error)
            found = await self._ask_each([r for r in self._atlas.known() if r.is_running], process, silent)
        if found is not None:
            return found
        if silent and self._roster.lost_one(process) is None:
            raise PlaceUnavailableError(f"whether this chat has process {process} is not known now: {silent[0]}")
        raise await self._missing(process)

    async def _ask_each(self, places: Sequence[PlaceRef], process: ProcessId, silent: list[WsError]) -> PlaceRef | None:
        """The place that has the process; which do not answer is added to `silent`."""
        for place, answer in await self._inquiry.each(places, self._get(process), self._info_of(process)):
            if isinstance(answer, ProcessInfo):
                return place
            if not isinstance(answer, UnknownProcessError):
                silent.append(answer)
        return None

    async def _moved(self, place: PlaceRef, process: ProcessId) -> PlaceRef | None:
        """Where the place is now, if that is elsewhere than when it was last asked."""
        try:
            await self.places()
        except EngineError:
            return None
        now = self._atlas.at(place.place)
        if now is not None and now.obstacle:
            raise unavailable(now, now.obstacle)
        if now is None or not now.is_running:
            raise await self._missing(process)
        return now if now.address != place.address else None

    async def _missing(self, process: ProcessId) -> WsError:
        """Why the chat does not have this process: one text for another chat's, none, and nonsense."""
        lost = self._roster.lost_one(process)
        if lost is not None:
            return LostProcessError(process, lost.lost_reason, lost)
        claim = await self._receipts.find_process(self._chat, process) if is_process_id(process) else None
        if claim is not None and not await self._is_same_boot(claim):
            return LostProcessError(process, "its workspace restarted or was removed since")
        return NotFoundError("process", one_line(process[:40]), await self._ids(), "list_processes tells more.")

    async def _is_same_boot(self, claim: StartClaim) -> bool:
        place = self._atlas.at(claim.place)
        if place is None or not place.is_running:
            return place is not None and bool(place.obstacle)
        return (await self._client_of(place)).boot == claim.boot

    async def _ids(self) -> list[str]:
        question = Question(op="list", fields=lambda: {"chat": self._chat, "limit": NAMED})
        try:
            places = await self.places()
        except EngineError:
            places = self._atlas.known()
        found: list[str] = [info.process for info in self._roster.lost()]
        for _, answer in await self._inquiry.each(places, question, self._inquiry.page_of):
            if not isinstance(answer, WsError):
                found += [info.process for info in answer.processes]
        return found

    def _get(self, process: ProcessId) -> Question:
        return Question(op="get", fields=lambda: {"process": process, "chat": self._chat})

    def _info_of(self, process: ProcessId) -> Callable[[Reply, PlaceRef], ProcessInfo]:
        def take(reply: Reply, place: PlaceRef) -> ProcessInfo:
            return convert.info_of(child(reply.header, "process"), place, self._chat, process)

        return take
