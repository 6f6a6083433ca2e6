"""In which place a process of the chat is, and what to say when it is in none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from ws_mcp.core.errors import (
    ConflictError,
    EngineError,
    NotFoundError,
    PlaceUnavailableError,
    WsError,
    one_line,
)
from ws_mcp.core.execd.failures import UnknownProcessError
from ws_mcp.core.execd.protocol import Reply, child, integer
from ws_mcp.core.ids import ProcessId, Scope
from ws_mcp.core.processes import convert
from ws_mcp.core.processes.atlas import Atlas
from ws_mcp.core.processes.checks import is_process_id
from ws_mcp.core.processes.model import OutputWindow, ProcessInfo, SignalResult, Started
from ws_mcp.core.processes.port import ClientOf, PlaceRef, StartClaim, StartReceipts
from ws_mcp.core.processes.reach import Answer, OutcomeUnknownError, Question, ask, unavailable
from ws_mcp.core.processes.roster import Roster

T = TypeVar("T")

NAMED = 20  # process ids that an error names
EACH_S = 5.0  # how long one silent place may hold up what is asked of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The list of one place; `total` and `running` count before the limit."""

    processes: tuple[ProcessInfo, ...]
    total: int
    running: int


class LostProcessError(ConflictError):
    """The process ran when its execd ended. `info` where more than its id is known."""

    def __init__(self, process: ProcessId, reason: str, info: ProcessInfo | None = None) -> None:
        super().__init__(
            f"process {process} is lost ({reason}): how it ended is not known and its output is gone; "
            "start it again if it is still needed"
        )
        self.info = info


class Finder:
    """Asks the places of one chat about processes."""

    def __init__(
        self, scope: Scope, client_of: ClientOf, atlas: Atlas, roster: Roster, receipts: StartReceipts
    ) -> None:
        self._chat = scope.chat
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
            return (await self.ask(place, question, take)).value
        except UnknownProcessError as error:
            self._roster.forget(process)
            raise await self._missing(process) from error
        except OutcomeUnknownError:
            raise
        except PlaceUnavailableError:
            moved = await self._moved(place, process)
            if moved is None:
                raise
            return (await self.ask(moved, question, take)).value

    async def info(self, process: ProcessId) -> ProcessInfo:
        """One process as it is now; raises what `about` raises."""
        return await self.about(process, self._get(process), self._info_of(process))

    async def ask(
        self, place: PlaceRef, question: Question, take: Callable[[Reply, PlaceRef], T], boot: str = ""
    ) -> Answer[T]:
        """Ask one place (in `boot` only, if given); what ran there in a former boot is lost from now on."""
        try:
            answer = await ask(self._client_of, place, question, lambda reply: take(reply, place), boot)
        except UnknownProcessError:
            self._roster.sees(place.place, (await self._client_of(place)).boot, place.workspace)
            raise
        self._roster.sees(place.place, answer.boot, place.workspace)
        for info in infos_in(answer.value):
            self._roster.note(info, answer.boot)
        return answer

    async def each(
        self,
        places: Sequence[PlaceRef],
        question: Question,
        take: Callable[[Reply, PlaceRef], T],
        within_s: float = EACH_S,
    ) -> list[tuple[PlaceRef, T | WsError]]:
        """Ask several places at the same time; one that takes longer than `within_s` is silent."""
        answers: list[tuple[PlaceRef, T | WsError]] = []

        async def one(place: PlaceRef) -> None:
            answer: T | WsError = unavailable(place, f"no answer within {within_s:g} s")
            with anyio.move_on_after(within_s):
                try:
                    answer = (await self.ask(place, question, take)).value
                except WsError as error:
                    answer = error
            answers.append((place, answer))

        async with anyio.create_task_group() as tasks:
            for place in places:
                tasks.start_soon(one, place)
        return answers

    def page_of(self, reply: Reply, place: PlaceRef) -> Page:
        """The reply to a list.

        Raises:
            ExecdProtocolError
        """
        total, running = integer(reply.header, "total"), integer(reply.header, "running")
        return Page(processes=convert.infos_of(reply.header, place, self._chat), total=total, running=running)

    async def places(self) -> tuple[PlaceRef, ...]:
        """All places of the chat that run now; what ran in the others is lost.

        Raises:
            EngineError
        """
        refs = await self._atlas.all()
        self._roster.keeps(ref.place for ref in refs)
        for ref in refs:
            if not ref.is_running:
                self._roster.gone(ref.place, f"workspace {ref.workspace!r} was stopped")
        return tuple(ref for ref in refs if ref.is_running)

    async def _locate(self, process: ProcessId) -> PlaceRef:
        known = self._roster.find(process)
        place = self._atlas.at(known.info.place) if known is not None else None
        return place if place is not None else await self._search(process)

    async def _search(self, process: ProcessId) -> PlaceRef:
        if self._roster.lost_one(process) is not None or not is_process_id(process):
            raise await self._missing(process)
        silent: list[WsError] = []
        try:
            places = await self.places()
        except EngineError as error:
            places = tuple(ref for ref in self._atlas.known() if ref.is_running)
            silent.append(error)
        question = self._get(process)
        for place, answer in await self.each(places, question, self._info_of(process)):
            if isinstance(answer, ProcessInfo):
                return place
            if not isinstance(answer, UnknownProcessError):
                silent.append(answer)
        if silent:
            raise PlaceUnavailableError(f"whether this chat has process {process} is not known now: {silent[0]}")
        raise await self._missing(process)

    async def _moved(self, place: PlaceRef, process: ProcessId) -> PlaceRef | None:
        """Where the place is now, if that is elsewhere than when it was last asked."""
        try:
            await self.places()
        except EngineError:
            return None
        now = self._atlas.at(place.place)
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
            return False
        return (await self._client_of(place)).boot == claim.boot

    async def _ids(self) -> list[str]:
        question = Question(op="list", fields=lambda: {"chat": self._chat, "limit": NAMED})
        try:
            places = await self.places()
        except EngineError:
            places = self._atlas.known()
        found: list[str] = [info.process for info in self._roster.lost()]
        for _, answer in await self.each(places, question, self.page_of):
            if not isinstance(answer, WsError):
                found += [info.process for info in answer.processes]
        return found

    def _get(self, process: ProcessId) -> Question:
        return Question(op="get", fields=lambda: {"process": process, "chat": self._chat})

    def _info_of(self, process: ProcessId) -> Callable[[Reply, PlaceRef], ProcessInfo]:
        def take(reply: Reply, place: PlaceRef) -> ProcessInfo:
            return convert.info_of(child(reply.header, "process"), place, self._chat, process)

        return take


def infos_in(value: object) -> tuple[ProcessInfo, ...]:
    """The processes that an answer tells of."""
    match value:
        case ProcessInfo():
            return (value,)
        case OutputWindow() | SignalResult() | Started():
            return (value.info,)
        case Page():
            return value.processes
        case _:
            return ()
