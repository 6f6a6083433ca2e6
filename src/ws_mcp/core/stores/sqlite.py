"""The state in a file of the state directory: SQLite in WAL mode, safe for several servers of one machine."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from ws_mcp.core.database import BUSY_S, DAMAGE, DATABASE, LOCKS, OPENING, SERVER, instance_of, open_database
from ws_mcp.core.errors import DamagedStateError, StateError
from ws_mcp.core.stores.damage import check_content, check_file, translated
from ws_mcp.core.stores.datagrams import open_datagrams
from ws_mcp.core.stores.files import FileLocks
from ws_mcp.core.stores.identity import keep_identity
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.stores.port import Hear, Rows, Sql, Tell

T = TypeVar("T")

log = logging.getLogger(__name__)


class SqliteSql:
    """See `port.Sql`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def execute(self, statement: str, values: Sequence[object] = ()) -> Rows:
        return self._database.execute(statement, values)

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self._database.executemany(statement, rows)

    def begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN IMMEDIATE")


class SqliteStore:
    """See `port.Store`. Every call runs in one worker thread of its own: a slow disk never holds up the event loop."""

    is_shared = False

    def __init__(self, directory: Path, database: sqlite3.Connection) -> None:
        self._directory = directory
        self.database = database
        self.damage = ""
        self._file = _place_of(directory / DATABASE)
        self._thread = anyio.CapacityLimiter(1)
        self._files = FileLocks(directory / LOCKS)
        self.instance = instance_of(database)

    async def run(self, work: Callable[[Sql], T]) -> T:
        def locked() -> T:
            self._check_there()
            try:
                with self.database:
                    return work(SqliteSql(self.database))
            except DAMAGE as error:
                failure = translated(error)
                if isinstance(failure, DamagedStateError):
                    self.damage = str(failure)
                raise failure from error

        return await anyio.to_thread.run_sync(locked, limiter=self._thread)

    def _check_there(self) -> None:
        # What is written to a file that was removed or moved aside is lost, and SQLite does not notice.
        if _place_of(self._directory / DATABASE) != self._file:
            raise StateError(
                "the state file was removed or replaced while this server ran, so nothing can be remembered: put it "
                "back, or end this server and start it again"
            )

    async def aclose(self) -> None:
        """Close the database."""
        await anyio.to_thread.run_sync(self.database.close, limiter=self._thread)

    def lock(self, name: str) -> AbstractAsyncContextManager[Lock]:
        return self._files.lock(name)

    @asynccontextmanager
    async def lock_if_free(self, name: str) -> AsyncGenerator[bool]:
        with self._files.lock_if_free(name) as lock:
            yield lock is not None

    @asynccontextmanager
    async def presence(self, name: str) -> AsyncGenerator[None]:
        async with self._files.lock(name):
            try:
                yield
            finally:
                self._files.remove(name)

    async def is_present(self, name: str) -> bool:
        with self._files.lock_if_free(name) as lock:
            if lock is not None:
                self._files.remove(name)  # of a server that was killed
        return lock is None

    def open_bus(self, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        return open_datagrams(self._directory / "bus", hear)


@asynccontextmanager
async def open_sqlite(directory: Path) -> AsyncGenerator[SqliteStore]:
    """Open the file of a state directory that is ready for its locks.

    Raises:
        StateError: it is damaged, or was written by a newer version.
    """
    # SQLite does not wait for a server that makes a database or switches it to WAL mode: it fails.
    async with FileLocks(directory / LOCKS).lock(OPENING, BUSY_S):
        store = SqliteStore(directory, await anyio.to_thread.run_sync(open_whole, directory))
        await anyio.to_thread.run_sync(_clear_killed, directory)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.aclose()


def open_whole(directory: Path) -> sqlite3.Connection:
    """The database of a state directory that is whole, or new.

    Raises:
        DamagedStateError
        StateError: a newer ws-mcp wrote it, or it cannot be opened.
    """
    check_file(directory)
    try:
        database = open_database(directory, lambda opened: check_content(opened, directory))
    except DAMAGE as error:
        raise translated(error) from error
    keep_identity(directory, instance_of(database))
    return database


def _clear_killed(directory: Path) -> None:
    # Names are never used twice, so who finds one free need not wonder who comes back for it.
    try:
        FileLocks(directory / LOCKS).clear(SERVER)
    except (OSError, StateError) as error:
        log.info("what killed servers left among the locks stays: %s", error)


def _place_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
