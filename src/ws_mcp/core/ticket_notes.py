"""Tickets in the state directory: what a server that is gone had promised to whom.

Neither the id of a ticket nor its answer can be read there: an answer can hold the handle of a chat, and only who has
the id can open it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256, shake_256

from ws_mcp.core.clock import Now, Shown, unchanged
from ws_mcp.core.ids import PrincipalId, TicketId
from ws_mcp.core.servers import Servers
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Sql
from ws_mcp.core.tickets import KEEP_S, Ticket, TicketOwner, TicketState

MOST = 128  # of a principal; each with an answer of 64 KiB at most

_Row = tuple[str, str, str, str, str, str, int, int, str, str, bytes]


class StateTickets:
    """See `TicketNotes`."""

    def __init__(self, state: State, servers: Servers, now: Now, shown: Shown = unchanged) -> None:
        """`now`: by which they grow old; `shown`: what of that is shown."""
        self._state = state
        self._servers = servers
        self._now = now
        self._shown = shown

    async def add(self, ticket: Ticket) -> None:
        """Write down one that is new; the principal's oldest make room, first those that are over."""
        row, oldest = self._row(ticket), self._oldest()
        of_principal = (ticket.owner.principal, ticket.owner.principal, MOST)

        def work(db: Sql) -> None:
            db.execute("INSERT INTO tickets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM tickets WHERE began_at < ?", (oldest,))
            db.execute(
                "DELETE FROM tickets WHERE principal = ? AND ticket NOT IN (SELECT ticket FROM tickets "
                "WHERE principal = ? ORDER BY state = 'working' DESC, began_at DESC LIMIT ?)",
                of_principal,
            )

        await self._state.run(work)

    async def end(self, ticket: Ticket) -> None:
        """Write down how it is now."""
        sealed = _sealed(ticket.answer.encode(errors="surrogatepass"), ticket.id)
        said = (ticket.state.value, ticket.message, sealed, _stamp(self._now()), _name(ticket.id))
        await self._state.run(
            lambda db: db.execute(
                "UPDATE tickets SET state = ?, message = ?, answer = ?, ended_at = ? WHERE ticket = ?", said
            )
        )

    async def find(self, ticket: TicketId) -> tuple[Ticket, bool] | None:
        """See `TicketNotes`."""
        asked = (_name(ticket), self._oldest())

        def work(db: Sql) -> _Row | None:
            return db.execute(
                "SELECT ticket, principal, chat, tool, what, server, began_at, ended_at, state, message, answer "
                "FROM tickets WHERE ticket = ? AND began_at >= ?",
                asked,
            ).fetchone()

        row = await self._state.run(work)
        if row is None:
            return None
        found, server = self._ticket(ticket, row), row[5]
        if found.state is not TicketState.WORKING or server == self._servers.own:
            return found, False
        if await self._servers.lives(server):
            return found, True
        # It may have written down the end between the two looks, before it ended itself.
        row = await self._state.run(work)
        return (self._ticket(ticket, row), False) if row is not None else None

    def _oldest(self) -> int:
        return _stamp(self._now()) - KEEP_S * 1000

    def _row(self, ticket: Ticket) -> _Row:
        owner, began = ticket.owner, _stamp(self._now())
        name, server, state = _name(ticket.id), self._servers.own, ticket.state.value
        return (name, owner.principal, owner.chat, ticket.tool, ticket.what, server, began, began, state, "", b"")

    def _ticket(self, ticket: TicketId, row: _Row) -> Ticket:
        return Ticket(
            id=ticket,
            owner=TicketOwner(principal=PrincipalId(row[1]), chat=row[2]),
            tool=row[3],
            what=row[4],
            began_at=self._shown(_moment(row[6])),
            changed_at=self._shown(_moment(row[7])),
            state=TicketState(row[8]),
            message=row[9],
            answer=_sealed(row[10], ticket).decode(errors="surrogatepass"),
        )


def _stamp(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp / 1000, UTC)


def _name(ticket: TicketId) -> str:
    return sha256(ticket.encode(errors="surrogatepass")).hexdigest()


def _sealed(text: bytes, ticket: TicketId) -> bytes:
    """Seals, and opens again. Each id seals one text, once."""
    stream = shake_256(b"answer of " + ticket.encode()).digest(len(text))
    return bytes(one ^ other for one, other in zip(text, stream, strict=True))
