"""Which servers of a state directory live: each holds a lock of its own for as long as it does."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ws_mcp.core.database import LOCKS
from ws_mcp.core.state import State


class Servers:
    """The servers of one state directory. `own`: the name of this one, which nobody had before."""

    def __init__(self, state: State, own: str) -> None:
        self._state = state
        self.own = own

    def lives(self, server: str) -> bool:
        """Whether a server has not ended. Blocks for a moment; the lock of one that was killed is cleared away."""
        if server == self.own:
            return True
        with self._state.lock_if_free(server) as is_free:
            if is_free:
                (self._state.directory / LOCKS / server).unlink(missing_ok=True)
        return not is_free


@asynccontextmanager
async def open_servers(state: State) -> AsyncGenerator[Servers]:
    """Live, as others of this directory see it, until the block is left.

    Raises:
        StateError
    """
    own = f"server-{secrets.token_hex(8)}"
    async with state.lock(own):
        try:
            yield Servers(state, own)
        finally:
            (state.directory / LOCKS / own).unlink(missing_ok=True)
