"""The chats that an instance has given out, in its state directory, and which of them can be forgotten.

The handle of a chat is not kept, only the id made from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ws_mcp.core.clock import Now
from ws_mcp.core.errors import StorageFullError
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Sql

NOTE_USE_EVERY = timedelta(days=1)  # a call must not cost a write
KEEP_UNUSED = timedelta(days=30)
FORGET_AT_ONCE = 500  # chats; the others are looked at with the next new one


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecord:
    """A chat that was minted or first used here."""

    chat: str
    principal: str
    label: str
    created_at: str
    used_at: str = ""  # exact to a day


class KnownChats:
    """The table of chats. `used_at` in it is exact to a day; rows of an older version have none."""

    def __init__(self, state: State, now: Now) -> None:
        self._state = state
        self._now = now

    async def remember(self, record: ChatRecord) -> bool:
        """Keep a chat; one that is known stays as it is. Says whether it is new."""
        now = self._now()

        def work(db: Sql) -> bool:
            if (known := _used(db, record.chat, record.principal, now)) is not None:
                if record.label and not known.label:  # it was found again by its workspaces, which do not say it
                    db.execute("UPDATE chats SET label = ? WHERE chat = ?", (record.label, record.chat))
                return False
            columns = (record.chat, record.principal, record.label, record.created_at, now.isoformat())
            statement = (
                "INSERT INTO chats (chat, principal, label, created_at, used_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING"
            )
            return db.execute(statement, columns).rowcount > 0

        return await self._state.run(work)

    async def find(self, chat: str, principal: str) -> ChatRecord | None:
        """The chat, if it exists and belongs to `principal`; it is used now, as far as that can be written down."""
        now = self._now()
        try:
            return await self._state.run(lambda db: _used(db, chat, principal, now))
        except StorageFullError:
            return await self.look(chat, principal)

    async def look(self, chat: str, principal: str) -> ChatRecord | None:
        """As `find`, but it is not used by that."""
        return await self._state.run(lambda db: _found(db, chat, principal))

    def is_due(self, record: ChatRecord) -> bool:
        """Whether its next use has to be noted."""
        return _is_due(record.used_at, self._now())

    async def list(self, principal: str) -> tuple[ChatRecord, ...]:
        """All chats of a principal, newest first."""
        rows = await self._state.run(
            lambda db: db.execute(f"{_SELECT} WHERE principal = ? ORDER BY created_at DESC", (principal,)).fetchall()
        )
        return tuple(_record(row) for row in rows)

    async def unused(self) -> frozenset[str]:
        """Chats that were not used for long, of which no keyed start is remembered either."""
        before = (self._now() - KEEP_UNUSED).isoformat()
        rows = await self._state.run(lambda db: db.execute(_UNUSED, (before, before, FORGET_AT_ONCE)).fetchall())
        return frozenset(row[0] for row in rows)

    async def forget(self, chats: Iterable[str]) -> None:
        """Forget those of `chats` that are still unused."""
        before = (self._now() - KEEP_UNUSED).isoformat()
        rows = [(before, before, chat) for chat in chats]
        await self._state.run(lambda db: db.executemany(_FORGET, rows))

    async def remove(self, chat: str, principal: str) -> None:
        """Forget a chat that was closed."""
        statement = "DELETE FROM chats WHERE chat = ? AND principal = ?"
        await self._state.run(lambda db: db.execute(statement, (chat, principal)))

    async def spare(self, chats: Iterable[str]) -> None:
        """Count these as used now: something is theirs."""
        rows = [(self._now().isoformat(), chat) for chat in chats]
        await self._state.run(lambda db: db.executemany("UPDATE chats SET used_at = ? WHERE chat = ?", rows))


_SELECT = "SELECT chat, principal, label, created_at, used_at FROM chats"
_UNUSED = """
SELECT chat FROM chats WHERE used_at < ? AND created_at < ?
AND NOT EXISTS (SELECT 1 FROM starts WHERE starts.chat = chats.chat) LIMIT ?
"""
_FORGET = """
DELETE FROM chats WHERE used_at < ? AND created_at < ?
AND NOT EXISTS (SELECT 1 FROM starts WHERE starts.chat = chats.chat) AND chat = ?
"""


def _found(database: Sql, chat: str, principal: str) -> ChatRecord | None:
    row = database.execute(f"{_SELECT} WHERE chat = ? AND principal = ?", (chat, principal)).fetchone()
    return None if row is None else _record(row)


def _used(database: Sql, chat: str, principal: str, now: datetime) -> ChatRecord | None:
    record = _found(database, chat, principal)
    if record is not None and _is_due(record.used_at, now):
        database.execute("UPDATE chats SET used_at = ? WHERE chat = ?", (now.isoformat(), chat))
    return record


def _is_due(used_at: str, now: datetime) -> bool:
    return used_at < (now - NOTE_USE_EVERY).isoformat()


def _record(row: tuple[str, ...]) -> ChatRecord:
    return ChatRecord(chat=row[0], principal=row[1], label=row[2], created_at=row[3], used_at=max(row[3], row[4]))
