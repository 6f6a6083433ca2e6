"""What must survive besides engine objects: who this instance is, and receipts of keyed starts. Others add tables.

It is kept in a private directory of this machine, or in a PostgreSQL database for servers of several machines; an
*instance* is that directory, or that database, and not a process.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from ws_mcp.core.awaited import LOCK, STATE, awaiting
from ws_mcp.core.errors import DamagedStateError, StateError
from ws_mcp.core.stores.directory import make_directory
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.stores.port import Hear, Sql, Store, Tell
from ws_mcp.core.stores.sqlite import open_sqlite
from ws_mcp.core.stores.stand_in import open_stand_in

T = TypeVar("T")

log = logging.getLogger(__name__)

KEEP_STARTS_S = 7 * 86_400  # execd keeps the receipt of a process for a day; nobody repeats a call after a week


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecord:
    """A keyed start: which request it was and which process it became; `is_confirmed`: execd said that it began."""

    digest: str
    process: str
    place: str
    boot: str
    is_confirmed: bool = False


class State:
    """The state of one instance, open. Made by `open_state`.

    `directory` is what this machine alone has of it; `is_shared`: servers of other machines may have the rest, too.
    """

    def __init__(self, directory: Path, store: Store) -> None:
        self.directory = directory
        self._store = store
        self.instance = store.instance
        self.is_shared = store.is_shared

    @property
    def damage(self) -> str:
        """What is wrong with it, and what to do, or "". As long as it is damaged nothing is changed or removed."""
        return self._store.damage

    async def run(self, work: Callable[[Sql], T]) -> T:
        """Do `work` in one transaction; for owners of tables of their own. `work` may be done more than once.

        Raises:
            StateError
        """
        with awaiting(STATE):
            return await self._store.run(work)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[Lock]:
        """Hold `name` against every server of this instance; a server that dies lets go.

        Raises:
            StateError: the lock was lost while it was held; the block was cancelled for that.
        """
        async with AsyncExitStack() as stack:
            with awaiting(LOCK):
                lock = await stack.enter_async_context(self._store.lock(name))
            yield lock

    def lock_if_free(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Hold `name` if nobody does; says whether it is held now.

        Raises:
            StateError: as `lock`.
        """
        return self._store.lock_if_free(name)

    def presence(self, name: str) -> AbstractAsyncContextManager[None]:
        """Be there, under a name that nobody had before, as long as the block runs."""
        return self._store.presence(name)

    async def is_present(self, name: str) -> bool:
        """Whether somebody is there under that name."""
        return await self._store.is_present(name)

    def open_bus(self, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        """Hear what the other servers say, but not this one, as long as the block runs; yields how to tell them."""
        return self._store.open_bus(hear)

    async def aclose(self) -> None:
        """Close it, before the block that opened it does."""
        await self._store.aclose()

    async def known_chats(self) -> frozenset[tuple[str, str]]:
        """Every chat of this instance with its principal."""
        return frozenset(await self.run(lambda db: db.execute("SELECT chat, principal FROM chats").fetchall()))

    async def claim_start(self, chat: str, key: str, record: StartRecord, now: datetime) -> StartRecord:
        """Remember a keyed start unless one is known; returns what is remembered now. Atomic over all servers."""
        at = int(now.timestamp())

        def work(db: Sql) -> StartRecord:
            db.execute("DELETE FROM starts WHERE at < ?", (at - KEEP_STARTS_S,))
            db.execute(
                "INSERT INTO starts (chat, request_key, digest, process, place, boot, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (chat, key, record.digest, record.process, record.place, record.boot, at),
            )
            if not (found := _starts(db, "chat = ? AND request_key = ?", (chat, key))):
                raise StateError("the state file is damaged: it lost what was just written; see `ws-mcp doctor`")
            return found[0]

        return await self.run(work)

    async def start_of_key(self, chat: str, key: str) -> StartRecord | None:
        """The start that a key became."""
        found = await self.run(lambda db: _starts(db, "chat = ? AND request_key = ?", (chat, key)))
        return found[0] if found else None

    async def start_of_process(self, chat: str, process: str) -> StartRecord | None:
        """The keyed start that became this process."""
        found = await self.run(lambda db: _starts(db, "chat = ? AND process = ?", (chat, process)))
        return found[0] if found else None

    async def confirm_start(self, chat: str, key: str, process: str) -> None:
        """Remember that a keyed start became a process."""
        await self.run(
            lambda db: db.execute(
                "UPDATE starts SET is_confirmed = 1 WHERE chat = ? AND request_key = ? AND process = ?",
                (chat, key, process),
            )
        )

    async def release_start(self, chat: str, key: str, process: str) -> None:
        """Forget a keyed start that did not become a process."""
        await self.run(
            lambda db: db.execute(
                "DELETE FROM starts WHERE chat = ? AND request_key = ? AND process = ?", (chat, key, process)
            )
        )

    async def is_filled(self, engine: str, volume: str, created_at: str) -> bool:
        """Whether this very volume (by its creation time) was filled by this instance."""
        row = await self.run(
            lambda db: db.execute(
                "SELECT created_at FROM fills WHERE engine = ? AND volume = ?", (engine, volume)
            ).fetchone()
        )
        return row is not None and row[0] == created_at

    async def has_fills(self) -> bool:
        """Whether any engine was ever used from this directory."""
        return await self.run(lambda db: db.execute("SELECT 1 FROM fills LIMIT 1").fetchone() is not None)

    async def mark_filled(self, engine: str, volume: str, created_at: str) -> None:
        """Remember that a volume was filled to the end."""
        await self.run(
            lambda db: db.execute(
                "INSERT INTO fills VALUES (?, ?, ?) "
                "ON CONFLICT (engine, volume) DO UPDATE SET created_at = excluded.created_at",
                (engine, volume, created_at),
            )
        )


@asynccontextmanager
async def open_state(directory: Path, database: str = "", *, may_stand_in: bool = False) -> AsyncGenerator[State]:
    """Open the state directory, made on first use with mode 0700; with `database` (a URL) the state in PostgreSQL.

    `may_stand_in`: of a damaged directory it yields what is left to look with; see `damage`.

    Raises:
        StateError: it cannot be made, is not ours alone, or was written by a newer version.
        DamagedStateError
    """
    if not database:
        await anyio.to_thread.run_sync(partial(make_directory, directory, has_state=True))
        async with AsyncExitStack() as stack:
            yield State(directory, await _opened(stack, directory, may_stand_in=may_stand_in))
        return
    try:
        from ws_mcp.core.stores.postgres import open_postgres  # noqa: PLC0415 - only who has a database pays for it
    except ImportError as error:
        raise StateError(
            "a state database needs the Python package psycopg (3.2 or newer) with libpq: install psycopg[binary] into "
            "the environment of ws-mcp, or leave --state-database out"
        ) from error
    await anyio.to_thread.run_sync(partial(make_directory, directory, has_state=False))
    async with open_postgres(directory, database) as store:
        yield State(directory, store)


async def _opened(stack: AsyncExitStack, directory: Path, *, may_stand_in: bool) -> Store:
    try:
        return await stack.enter_async_context(open_sqlite(directory))
    except DamagedStateError as error:
        if not may_stand_in:
            raise
        log.error("%s", error)  # noqa: TRY400 - it is the state that is wrong, not ours
        return await stack.enter_async_context(open_stand_in(directory, str(error)))


def _starts(database: Sql, where: str, values: tuple[str, ...]) -> list[StartRecord]:
    columns = "digest, process, place, boot, is_confirmed"
    rows = database.execute(f"SELECT {columns} FROM starts WHERE {where}", values)  # noqa: S608
    return [StartRecord(digest=r[0], process=r[1], place=r[2], boot=r[3], is_confirmed=bool(r[4])) for r in rows]
