"""What a server has in place of a state that is damaged: tables in memory, and who the instance is, if that is left.

With that it verifies labels and reaches execds, so what there is can be looked at. Nothing that it writes is kept, and
whoever would change anything asks `damage` first.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp.core.database import KEY, Instance, migrate
from ws_mcp.core.stores.identity import found_identity
from ws_mcp.core.stores.sqlite import SqliteStore

LOST = "; whose it is is lost, too, so none of its workspaces can be shown"


class StandIn(SqliteStore):
    """See `port.Store`. No other server sees it: there is nothing that they could do together."""

    def _check_there(self) -> None:
        """It is in memory."""

    @asynccontextmanager
    async def presence(self, name: str) -> AsyncGenerator[None]:  # noqa: ARG002 - see the class
        yield


@asynccontextmanager
async def open_stand_in(directory: Path, damage: str) -> AsyncGenerator[StandIn]:
    """Stand in for the state of a directory. `damage`: what is wrong with it, and what to do."""
    store = await anyio.to_thread.run_sync(_made, directory, damage)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.aclose()


def _made(directory: Path, damage: str) -> StandIn:
    found = found_identity(directory)
    database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level="IMMEDIATE")
    migrate(database, found or Instance(id=secrets.token_hex(8), key=secrets.token_bytes(KEY)))
    store = StandIn(directory, database)
    store.damage = damage if found else damage + LOST
    return store
