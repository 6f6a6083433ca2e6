"""Which servers of an instance live: each is there under a name of its own for as long as it does."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ws_mcp.core.database import SERVER
from ws_mcp.core.state import State


class Servers:
    """The servers of one instance. `own`: the name of this one, which nobody had before."""

    def __init__(self, state: State, own: str) -> None:
        self._state = state
        self.own = own

    async def lives(self, server: str) -> bool:
        """Whether a server has not ended.

        Raises:
            StateError
        """
        return server == self.own or await self._state.is_present(server)


@asynccontextmanager
async def open_servers(state: State) -> AsyncGenerator[Servers]:
    """Live, as others of this instance see it, until the block is left.

    Raises:
        StateError
    """
    own = f"{SERVER}{secrets.token_hex(8)}"
    async with state.presence(own):
        yield Servers(state, own)
