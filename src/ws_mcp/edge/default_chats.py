"""The chats that hints select, remembered for a while, so that not each call asks the state again."""

from __future__ import annotations

import anyio

from ws_mcp.core.ids import PrincipalId
from ws_mcp.edge.core_port import ChatRef, Core

KEPT = 1024
FRESH_S = 3600.0  # then it is noted once more that the chat is used: one that nobody has used for long is forgotten


class DefaultChats:
    """Which chat a hint selects never changes; that it is known to the state is what has to be made sure."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kept: dict[tuple[PrincipalId, str], tuple[ChatRef, float]] = {}

    async def of(self, principal: PrincipalId, hint: str) -> ChatRef:
        """The chat that the hint selects among the principal's own."""
        key, now = (principal, hint), anyio.current_time()
        found, until = self._kept.get(key, (None, now))
        if found is None or now >= until:
            found = await self._core.default_chat(principal, hint)
            self._kept.pop(key, None)
            if not found.is_due:  # else it could not be noted: what such a chat has would be taken for nobody's
                while len(self._kept) >= KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = (found, now + FRESH_S)
        return found
