"""Asking the places of one chat: what they tell is remembered, and what stands in their way is looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.failures import UnknownProcessError
from ws_mcp.core.execd.protocol import Reply, integer
from ws_mcp.core.ids import ChatId
from ws_mcp.core.processes import convert
from ws_mcp.core.processes.atlas import Atlas
from ws_mcp.core.processes.model import OutputWindow, ProcessInfo, SignalResult, Started
from ws_mcp.core.processes.port import ClientOf, PlaceRef
from ws_mcp.core.processes.reach import Answer, Question, ask, unavailable
from ws_mcp.core.processes.roster import Roster

T = TypeVar("T")

EACH_S = 5.0  # how long one silent place may hold up what is asked of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The list of one place; `total` and `running` count before the limit."""

    processes: tuple[ProcessInfo, ...]
    total: int
    running: int


class Inquiry:
    """Asks one place, or several at once."""

    def __init__(self, chat: ChatId, client_of: ClientOf, atlas: Atlas, roster: Roster) -> None:
        self.chat = chat
        self._client_of = client_of
        self._atlas = atlas
        self._roster = roster

    async def ask(
        self, place: PlaceRef, question: Question, take: Callable[[Reply, PlaceRef], T], boot: str = ""
    ) -> Answer[T]:
        """Ask one place (in `boot` only, if given); what ran there in a former boot is lost from now on."""
        try:
            answer = await ask(
                self._client_of,
                place,
                question,
                lambda reply: take(reply, place),
                boot=boot,
                obstacle_of=self._atlas.obstacle,
            )
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
            if place.obstacle:
                answers.append((place, unavailable(place, place.obstacle)))
                return
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
        return Page(processes=convert.infos_of(reply.header, place, self.chat), total=total, running=running)


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
