"""Tickets in memory, shared by the servers of one test as a state directory would be."""

from __future__ import annotations

from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import TicketId
from ws_mcp.core.tickets import Ticket


class MemoryTickets:
    """See `TicketNotes`. `is_full`: nothing can be written."""

    def __init__(self) -> None:
        self.there: dict[TicketId, Ticket] = {}
        self.is_full = False

    async def add(self, ticket: Ticket) -> None:
        await self.end(ticket)

    async def end(self, ticket: Ticket) -> None:
        if self.is_full:
            raise StateError("the disk is full")
        self.there[ticket.id] = ticket

    async def find(self, ticket: TicketId) -> tuple[Ticket, bool] | None:
        found = self.there.get(ticket)
        return (found, False) if found else None
