"""The state in a PostgreSQL database: for servers of several machines. Its use needs the package psycopg."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import psycopg
from anyio.abc import TaskStatus

from ws_mcp.core.database import LOCKS, Instance
from ws_mcp.core.errors import StateError
from ws_mcp.core.stores.directory import own_directory
from ws_mcp.core.stores.files import FileLocks
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.stores.port import Hear, Sql, Tell
from ws_mcp.core.stores.postgres_book import Book
from ws_mcp.core.stores.postgres_faults import readable
from ws_mcp.core.stores.postgres_line import CHANNELS, RETRY_S, Line
from ws_mcp.core.stores.postgres_locks import AdvisoryLocks
from ws_mcp.core.stores.postgres_reach import Reach, connected
from ws_mcp.core.stores.postgres_schema import open_schema

T = TypeVar("T")
FREED, NEWS = CHANNELS


class PostgresStore:
    """See `port.Store`. A name is held by a file of this machine first: by that a program can hold it, too."""

    is_shared = True
    damage = ""  # a database on a server has its own ways to be kept whole

    def __init__(self, directory: Path, reach: Reach, connection: psycopg.Connection, instance: Instance) -> None:
        self.instance = instance
        self.book = Book(reach, connection, instance.id)
        self.line = Line(reach, on_note=self._noted, on_lost=self._lost, on_up=self._up)
        self._files = FileLocks(directory / LOCKS)
        self._locks = AdvisoryLocks(self.line, instance.id)
        self._hearers: dict[str, Hear] = {}

    async def run(self, work: Callable[[Sql], T]) -> T:
        return await self.book.run(work)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[Lock]:
        async with self._files.lock(name) as lock, self._locks.holding(lock):
            yield lock

    @asynccontextmanager
    async def lock_if_free(self, name: str) -> AsyncGenerator[bool]:
        with self._files.lock_if_free(name) as lock:
            if lock is None:
                yield False
                return
            async with self._locks.holding(lock, waits=False) as is_held:
                yield is_held

    @asynccontextmanager
    async def presence(self, name: str) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._be_there, name)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def is_present(self, name: str) -> bool:
        return await self._locks.is_taken(name)

    @asynccontextmanager
    async def open_bus(self, hear: Hear) -> AsyncGenerator[Tell]:
        own = secrets.token_hex(8)
        self._hearers[own] = hear

        async def tell(texts: Sequence[str]) -> None:
            said = [f"{self.instance.id} {own} {text}" for text in texts]
            await self.line.ask("SELECT count(pg_notify(%s, said)) FROM unnest(%s::text[]) AS said", (NEWS, said))

        try:
            yield tell
        finally:
            del self._hearers[own]

    def _noted(self, channel: str, text: str) -> None:
        if channel == FREED:
            self._locks.freed(text)
            return
        instance, _, rest = text.partition(" ")
        teller, _, said = rest.partition(" ")
        for own, hear in tuple(self._hearers.items()) if instance == self.instance.id else ():
            if own != teller:
                hear(said)

    async def aclose(self) -> None:
        """Close both connections: whatever this server holds is free."""
        await self.line.aclose()
        await self.book.aclose()

    async def _be_there(self, name: str, *, task_status: TaskStatus[None]) -> None:
        is_first = True
        while True:
            try:
                async with self._locks.holding(Lock(name, None)):
                    if is_first:
                        task_status.started()
                    is_first = False
                    await anyio.sleep_forever()
            except StateError:
                if is_first:
                    raise
                await anyio.sleep(RETRY_S)

    def _lost(self) -> None:
        self._locks.lost()

    def _up(self) -> None:
        for hear in tuple(self._hearers.values()):
            hear(None)


@asynccontextmanager
async def open_postgres(directory: Path, url: str) -> AsyncGenerator[PostgresStore]:
    """Open the database at `url`; `directory` is this machine's, ready for its locks.

    Raises:
        StateError: it does not answer, lets nobody in, is damaged, or was written by a newer version.
    """
    reach = Reach(url=url)
    connection, instance = await anyio.to_thread.run_sync(_opened, directory, reach)
    store = PostgresStore(directory, reach, connection, instance)
    try:
        await store.line.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.line.keep)
            try:
                yield store
            finally:
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await store.aclose()


def _opened(directory: Path, reach: Reach) -> tuple[psycopg.Connection, Instance]:
    connection = connected(reach)
    try:
        instance = open_schema(connection)
        own_directory(directory, instance)
    except BaseException as error:
        connection.close()
        if isinstance(error, psycopg.Error):
            raise readable(error) from None
        raise
    return connection, instance
