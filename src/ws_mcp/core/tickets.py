"""Tickets: what a client has for a job that its call left, to ask for it by and to give it up.

Who has the id of a ticket and is the same principal, in the same chat where its token is for one only, has the ticket.
A job goes on without tickets. Of one whose server ended the next server knows what was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Protocol

import anyio

from ws_mcp.core.clock import Now
from ws_mcp.core.errors import JobCancelledError, StateError, one_line
from ws_mcp.core.ids import PrincipalId, TicketId
from ws_mcp.core.job import Hold

log = logging.getLogger(__name__)

KEEP_S = 3600  # from its beginning; a job takes a third of that at most
CHARACTERS = 500  # of what is said of one that goes on


class TicketState(StrEnum):
    """Where the job is. `FAILED`: there is no answer of it."""

    WORKING = "working"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketOwner:
    """`chat`: the id of one, or "" for any of the principal's."""

    principal: PrincipalId
    chat: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket as it is now. `tool`: whose call left the job; `answer`: of one that is completed or has failed."""

    id: TicketId
    owner: TicketOwner
    tool: str
    what: str
    began_at: datetime
    changed_at: datetime
    state: TicketState = TicketState.WORKING
    message: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the call would have answered, for who took the ticket to read."""

    state: TicketState
    text: str


Answered = Callable[[object, Exception | None], Answer]
"""From the result of a job, or why it failed."""


class TicketNotes(Protocol):
    """Where tickets are written down; each call raises `StateError`."""

    async def add(self, ticket: Ticket) -> None:
        """When this returns it is known to the next server, too. Old ones make room."""
        ...

    async def end(self, ticket: Ticket) -> None:
        """It is as here from now on."""
        ...

    async def find(self, ticket: TicketId) -> tuple[Ticket, bool] | None:
        """One that is not too old, and whether the server that it is of lives and is another one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    ticket: Ticket
    hold: Hold


class Tickets:
    """The tickets of a server, and what is written down of those of servers before it."""

    def __init__(self, notes: TicketNotes, now: Now, new_id: Callable[[], TicketId]) -> None:
        self._notes, self._now, self._new_id = notes, now, new_id
        self._live: dict[TicketId, _Live] = {}

    async def take(self, owner: TicketOwner, hold: Hold, tool: str, answered: Answered) -> Ticket:
        """A ticket for what a call holds; the same one for equal calls of an owner. It is known when this returns.

        Raises:
            StateError: it cannot be written down; the hold stays.
        """
        for live in self._live.values():
            if live.hold.job is hold.job and live.ticket.owner == owner:
                hold.drop()
                return self._seen(live)
        now = self._now()
        ticket = Ticket(
            id=self._new_id(), owner=owner, tool=tool, what=hold.job.request.what, began_at=now, changed_at=now
        )
        await self._notes.add(ticket)
        live = self._live[ticket.id] = _Live(ticket=ticket, hold=hold)
        await hold.when_over(partial(self._ended, live, answered))
        return self._seen(live)

    async def look(self, owner: TicketOwner, ticket: TicketId) -> Ticket | None:
        """The owner's ticket with this id; of another's there is none.

        Raises:
            StateError
        """
        found = await self._notes.find(ticket)
        if found is None or not _has(owner, found[0].owner):
            return None
        kept, is_elsewhere = found
        live = self._live.get(ticket)
        if live is not None:
            return self._seen(live)
        if kept.state is not TicketState.WORKING:
            return kept
        if is_elsewhere:
            return replace(kept, message=f"{kept.what}: another server of the same state directory is at it")
        again = f"call {kept.tool} again with the same arguments"
        said = f"{kept.what} was interrupted by a restart of the server: {again}"
        return replace(kept, state=TicketState.FAILED, message=said)

    async def give_up(self, owner: TicketOwner, ticket: TicketId) -> bool:
        """End the job, if nobody else wants it, or else want it no more. Says whether there is such a ticket.

        Raises:
            StateError
        """
        if await self.look(owner, ticket) is None:
            return False
        live = self._live.get(ticket)
        if live is not None and not live.hold.job.is_over and not live.hold.give_up():
            said = f"you gave up {live.ticket.what}; it goes on, since others wait for it"
            await self._end(live, TicketState.CANCELLED, said, "")
        return True

    async def _ended(self, live: _Live, answered: Answered, result: object, failure: Exception | None) -> None:
        if live.ticket.id not in self._live:
            return  # it was given up
        if isinstance(failure, JobCancelledError):
            await self._end(live, TicketState.CANCELLED, str(failure), "")
            return
        answer = answered(result, failure)
        await self._end(live, answer.state, "", answer.text)

    async def _end(self, live: _Live, state: TicketState, message: str, answer: str) -> None:
        ended = replace(live.ticket, changed_at=self._now(), state=state, message=message, answer=answer)
        try:
            await self._notes.end(ended)
        except StateError as error:
            log.warning("what became of %s cannot be asked for: %s", live.ticket.what, error)
        self._live.pop(live.ticket.id, None)

    def _seen(self, live: _Live) -> Ticket:
        job = live.hold.job
        now = anyio.current_time()
        return replace(
            live.ticket,
            changed_at=self._now() - timedelta(seconds=now - job.changed_at),
            message=one_line(f"{job.request.what}: {job.phase} ({now - job.began:.0f} s so far)", CHARACTERS),
        )


def _has(owner: TicketOwner, other: TicketOwner) -> bool:
    return owner.principal == other.principal and owner.chat in ("", other.chat)
