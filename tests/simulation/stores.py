"""What a store does over sockets of this machine, in memory, so that a seed gives the same run; and its database."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio.lowlevel

from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Hear, Tell
from ws_mcp.core.stores.sqlite import SqliteStore


class Buses:
    """The buses of all state directories."""

    def __init__(self) -> None:
        self._hearers: dict[str, list[Hear]] = {}

    @asynccontextmanager
    async def open_bus(self, store: SqliteStore, hear: Hear) -> AsyncGenerator[Tell]:
        """See `Store.open_bus`."""
        hearers = self._hearers.setdefault(store.instance.id, [])

        async def tell(texts: Sequence[str]) -> None:
            await anyio.lowlevel.checkpoint()
            for other in [other for other in hearers if other is not hear]:
                for text in texts:
                    other(text)

        hearers.append(hear)
        try:
            yield tell
        finally:
            hearers.remove(hear)


def database_of(state: State) -> sqlite3.Connection:
    """The database below a state that is kept in a directory."""
    store = state._store  # pyright: ignore[reportPrivateUsage]  # nobody else meddles with it
    assert isinstance(store, SqliteStore)
    return store.database
