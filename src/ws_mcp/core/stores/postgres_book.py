"""The transactions of one server in PostgreSQL, one after the other, over a connection that is made again when lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
import psycopg

from ws_mcp.core.errors import StateError
from ws_mcp.core.stores.dialect import lock_key, statement_of, value_of, writes
from ws_mcp.core.stores.port import Rows, Sql
from ws_mcp.core.stores.postgres_faults import AWAY, UNKNOWN, readable
from ws_mcp.core.stores.postgres_reach import Reach
from ws_mcp.core.stores.postgres_thread import ConnectionThread

T = TypeVar("T")

PATIENCE_S = 10.0  # in which a database that restarts, or hands over to its standby, may come back
RETRY_S = 0.2


class _LostError(Exception):
    """The connection was lost, and nothing of the transaction is kept."""


class _Transaction:
    """See `port.Sql`. As with SQLite, what only reads begins nothing and waits for nobody."""

    def __init__(self, connection: psycopg.Connection, key: int) -> None:
        self._connection = connection
        self._key = key
        self.xid = ""

    def execute(self, statement: str, values: Sequence[object] = ()) -> Rows:
        if writes(statement):
            self.begin()
        return self._connection.execute(statement_of(statement), tuple(map(value_of, values)))

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self.begin()
        with self._connection.cursor() as cursor:
            cursor.executemany(statement_of(statement), [tuple(map(value_of, row)) for row in rows])

    def begin(self) -> None:
        if self.xid:
            return
        # One lock for all that write: as strong as SQLite's BEGIN IMMEDIATE, so that no statement has to think of more.
        began = f"BEGIN; SELECT pg_advisory_xact_lock({self._key}), pg_current_xact_id()::text"
        cursor = self._connection.execute(began.encode())
        cursor.nextset()
        row = cursor.fetchone()
        self.xid = str(row[1]) if row else ""

    def end(self, word: bytes) -> None:
        if self.xid:
            self._connection.execute(word)

    def give_up(self) -> None:
        """Nothing of it is kept; one that began and failed at its first statement has no number, but is open."""
        with suppress(psycopg.Error):  # it is gone then, and so is the transaction
            self._connection.execute(b"ROLLBACK")


class Book:
    """Every call runs in one worker thread of its own."""

    def __init__(self, reach: Reach, connection: psycopg.Connection, instance: str) -> None:
        self._reach = reach
        self._connection: psycopg.Connection | None = connection
        self._key = lock_key(instance, "writing")
        self._thread = ConnectionThread()

    async def run(self, work: Callable[[Sql], T]) -> T:
        """See `port.Store.run`.

        A commit whose answer was lost is looked up by the number of its transaction: it is never guessed.
        """
        until = anyio.current_time() + PATIENCE_S
        while True:
            try:
                value, unsure = await self._threaded(partial(self._once, work))
                if not unsure or await self._is_kept(unsure, until):
                    return value
            except _LostError as lost:
                if anyio.current_time() >= until:
                    raise StateError(AWAY) from lost
            await anyio.sleep(RETRY_S)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._threaded(self._connection.close)

    async def _threaded(self, work: Callable[[], T]) -> T:
        return await self._thread.run(work, lambda: self._connection)

    async def _is_kept(self, xid: str, until: float) -> bool:
        while True:
            try:
                fate = await self._threaded(partial(self._fate, xid))
            except _LostError as lost:
                if anyio.current_time() >= until:
                    raise StateError(UNKNOWN) from lost
                await anyio.sleep(RETRY_S)
                continue
            if fate not in ("committed", "aborted"):
                raise StateError(UNKNOWN)
            return fate == "committed"

    def _once(self, work: Callable[[Sql], T]) -> tuple[T, str]:
        """What the work returns; with the number of its transaction if it is not known whether that was kept."""
        connection = self._opened()
        transaction = _Transaction(connection, self._key)
        try:
            value = work(transaction)
        except psycopg.Error as error:
            self._look_if_lost(connection, error)
            transaction.give_up()
            raise readable(error) from None
        except BaseException:
            transaction.give_up()
            raise
        try:
            transaction.end(b"COMMIT")
        except psycopg.Error as error:
            if not connection.broken:
                raise readable(error) from None
            self._drop()
            return value, transaction.xid
        return value, ""

    def _fate(self, xid: str) -> str:
        connection = self._opened()
        try:
            # Its session may not know yet that its client is gone: it holds the lock of who writes until it does.
            statement = b"SELECT pg_xact_status(%s::xid8) FROM pg_advisory_xact_lock(%s)"
            row = connection.execute(statement, (xid, self._key)).fetchone()
        except psycopg.Error as error:
            self._look_if_lost(connection, error)
            raise _LostError from error
        return str(row[0]) if row else ""

    def _opened(self) -> psycopg.Connection:
        if self._connection is None or self._connection.broken or self._connection.closed:
            try:
                self._connection = self._reach.connect()
            except psycopg.Error as error:
                raise _LostError from error
        return self._connection

    def _look_if_lost(self, connection: psycopg.Connection, error: psycopg.Error) -> None:
        if connection.broken or connection.closed:
            self._drop()
            raise _LostError from error

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
