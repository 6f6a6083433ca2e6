"""The one thread that speaks over a connection, and an end to its patience with a database that says nothing.

PostgreSQL's own timeouts do not help where PostgreSQL itself hangs, nor TCP's where the machine still acknowledges.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
import anyio.to_thread
import psycopg

from ws_mcp.core.errors import StateError
from ws_mcp.core.stores.postgres_faults import UNKNOWN

SILENT_S = 25.0  # more than the 20 s after which PostgreSQL itself ends a statement

T = TypeVar("T")


class SilentError(StateError):
    """The database was asked and said nothing for `SILENT_S`; the connection is of no more use."""

    def __init__(self) -> None:
        super().__init__(UNKNOWN)


class ConnectionThread:
    """Does one piece of work after the other; whoever is cancelled meanwhile gets the result first."""

    def __init__(self) -> None:
        self._turn = anyio.Lock()
        self._limiter = anyio.CapacityLimiter(1)  # a thread that was given up keeps it until it ends

    async def run(self, work: Callable[[], T], connection_of: Callable[[], psycopg.Connection | None]) -> T:
        """Do `work`, which speaks over what `connection_of` says at its end.

        Raises:
            SilentError
        """
        async with self._turn:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + SILENT_S):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        if (connection := connection_of()) is not None:
            cut(connection)
        raise SilentError


def cut(connection: psycopg.Connection) -> None:
    """End it for whoever waits at it, in whichever thread; to be closed by the thread that speaks over it."""
    # libpq may close its own descriptor meanwhile, and another file get the number: only of a copy it is known whose.
    with suppress(psycopg.Error, OSError):
        copy = os.dup(connection.fileno())
        with socket.socket(fileno=copy) as shut:
            shut.shutdown(socket.SHUT_RDWR)
