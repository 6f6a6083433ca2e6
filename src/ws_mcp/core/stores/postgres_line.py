"""The one connection of a server that is kept: its locks are its session's, and what others say comes there."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio
import psycopg

from ws_mcp.core.errors import StateError
from ws_mcp.core.stores.postgres_faults import AWAY, readable
from ws_mcp.core.stores.postgres_reach import Reach
from ws_mcp.core.stores.postgres_thread import ConnectionThread, SilentError, cut

RETRY_S = 0.5
COME_BACK_S = 10.0  # how long who needs it waits for one that was lost
CHANNELS = ("ws_mcp_freed", "ws_mcp_news")

log = logging.getLogger(__name__)

Row = tuple[object, ...] | None
T = TypeVar("T")


class Line:
    """`on_note` hears what comes by a channel; `on_lost`, that every lock is lost; `on_up`, that it is there again."""

    def __init__(
        self,
        reach: Reach,
        *,
        on_note: Callable[[str, str], None],
        on_lost: Callable[[], None],
        on_up: Callable[[], None],
    ) -> None:
        self._reach = reach
        self._on_note, self._on_lost, self._on_up = on_note, on_lost, on_up
        self._thread = ConnectionThread()
        self._connection: psycopg.Connection | None = None
        self._lost: list[psycopg.Connection] = []  # to be closed where nobody else is speaking over them
        self._notes: deque[tuple[str, str]] = deque()
        self._is_back = anyio.Event()
        self._waiting = anyio.CancelScope()
        self.generation = 0  # how often it was made

    async def open(self) -> None:
        """Make it for the first time.

        Raises:
            StateError
        """
        try:
            self._take(await self._threaded(self._connect))
        except psycopg.Error as error:
            raise readable(error) from None

    async def keep(self) -> None:
        """Hear, and make it again whenever it is lost, until cancelled."""
        while True:
            if (connection := self._connection) is not None:
                await self._hear(connection)
                self._give_up(connection)
            try:
                self._take(await self._threaded(self._connect))
            except (psycopg.Error, StateError):
                await anyio.sleep(RETRY_S)
                continue
            log.warning("the connection to the state database is there again")
            self._on_up()

    async def ask(self, statement: str, values: Sequence[object] = ()) -> Row:
        """The first row of a statement, at once.

        Raises:
            StateError
        """
        connection = self._connection
        if connection is None:
            raise StateError(AWAY)
        try:
            return await self._threaded(partial(_row, connection, statement, values))
        except SilentError:
            self._give_up(connection)
            raise
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                self._give_up(connection)
                raise StateError(AWAY) from None
            raise readable(error) from None
        finally:
            self._hand_out()

    async def ask_on(self, statement: str, values: Sequence[object] = ()) -> tuple[Row, int]:
        """As `ask`, if need be by a connection that is made again; with the generation of the one that answered.

        For what is harmless to repeat.

        Raises:
            StateError: it does not come back.
        """
        while True:
            await self.until_up()
            generation = self.generation
            try:
                return await self.ask(statement, values), generation
            except StateError:
                if self.generation == generation and self._connection is not None:
                    raise

    async def until_up(self) -> None:
        """Wait for one that was lost.

        Raises:
            StateError: it does not come back.
        """
        with anyio.move_on_after(COME_BACK_S):
            while self._connection is None:
                await self._is_back.wait()
            return
        raise StateError(AWAY)

    async def aclose(self) -> None:
        """Close it: whatever it holds is free."""
        lost, self._lost = self._lost, []
        for connection in (*lost, *([self._connection] if self._connection is not None else ())):
            await self._threaded(connection.close)

    async def _threaded(self, work: Callable[[], T]) -> T:
        return await self._thread.run(work, lambda: self._connection)

    def _connect(self) -> psycopg.Connection:
        while self._lost:
            self._lost.pop().close()
        connection = self._reach.connect("ws-mcp line")
        # Also what comes with the answer to something else; called in the thread that asks.
        connection.add_notify_handler(lambda note: self._notes.append((note.channel, note.payload)))
        for channel in CHANNELS:
            connection.execute(f"LISTEN {channel}".encode())
        return connection

    def _take(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.generation += 1
        self._is_back.set()

    def _give_up(self, connection: psycopg.Connection) -> None:
        if self._connection is not connection:
            return
        log.warning("the connection to the state database is lost, and with it all locks; it is made again")
        cut(connection)
        self._lost.append(connection)
        self._connection, self._is_back = None, anyio.Event()
        self._waiting.cancel()
        self._on_lost()

    async def _hear(self, connection: psycopg.Connection) -> None:
        # A copy: libpq closes its own as soon as the connection breaks, and another file could get its number.
        copy = os.dup(connection.fileno())
        try:
            with anyio.CancelScope() as self._waiting:
                while self._connection is connection:
                    await anyio.wait_readable(copy)
                    await self._threaded(partial(_take_in, connection, self._notes))
                    self._hand_out()
        except psycopg.Error as error:
            log.info("it was lost: %s", type(error).__name__)
        finally:
            os.close(copy)

    def _hand_out(self) -> None:
        while self._notes:
            self._on_note(*self._notes.popleft())


def _row(connection: psycopg.Connection, statement: str, values: Sequence[object]) -> Row:
    return connection.execute(statement.encode(), tuple(values)).fetchone()


def _take_in(connection: psycopg.Connection, notes: deque[tuple[str, str]]) -> None:
    connection.pgconn.consume_input()
    while (note := connection.pgconn.notifies()) is not None:
        notes.append((note.relname.decode(), note.extra.decode()))
