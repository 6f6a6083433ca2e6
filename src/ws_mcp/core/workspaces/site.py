"""Which of an instance's engines something is on; most instances have one only, which is nowhere in particular."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ws_mcp.core.engine.swarm_model import HERE, NodeId
from ws_mcp.core.ids import PlaceId

LOOPBACK = "127.0.0.1"

IsMine = Callable[[PlaceId], Awaitable[bool]]
"""Whether what was begun for a place is to be put right on this engine; raises `EngineError` where nobody can tell."""


async def everything(_: PlaceId) -> bool:
    """Of the only engine."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An engine among those of an instance. `address`: where the ports of its containers are published."""

    node: NodeId = HERE
    hostname: str = ""
    address: str = LOOPBACK
    is_mine: IsMine = everything

    def lock_of(self, name: str) -> str:
        """The lock for what each engine has one of."""
        return f"{name}@{self.node}" if self.node else name


ONLY = Site()
