"""What a server writes down of the jobs that it was asked for, open for as long as it lives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ws_mcp.core.ages import Ages, open_ages
from ws_mcp.core.clock import Now
from ws_mcp.core.ids import new_ticket_id
from ws_mcp.core.job_notes import JobNotes
from ws_mcp.core.servers import open_servers
from ws_mcp.core.state import State
from ws_mcp.core.ticket_notes import StateTickets
from ws_mcp.core.tickets import Tickets


@asynccontextmanager
async def open_remembered(state: State, now: Now) -> AsyncGenerator[tuple[Ages, JobNotes, Tickets]]:
    """By what it all grows old; for who asks again by an equal call, and for who asks by a ticket.

    To be left after the jobs have ended: what is not written down as ended by then was interrupted.
    """
    async with open_servers(state) as servers, open_ages(state, servers, now) as ages:
        tickets = Tickets(StateTickets(state, servers, ages, ages.shown), ages.wall, new_ticket_id)
        yield ages, JobNotes(state, servers, ages), tickets
