"""What a process manager is given: the places of its chat, ways to their execds, memory of keyed starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ChatId, PlaceId, ProcessId, WorkspaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRef:
    """A workspace of the chat and where its processes run; `is_running` as of when it was looked up.

    `obstacle`: why it cannot answer now although its processes may live; without one what does not run has lost them.
    `ended`: what became of it then.
    """

    workspace: WorkspaceName
    address: PlaceAddress
    is_running: bool
    obstacle: str = ""
    ended: str = "was stopped"

    @property
    def place(self) -> PlaceId:
        """The place itself."""
        return self.address.place


@dataclass(frozen=True, slots=True, kw_only=True)
class StartClaim:
    """A keyed start: which request it was (`digest`), which process it became, and in which boot of which execd.

    `is_confirmed`: that execd said that it began. Without that it may never have.
    """

    digest: str
    process: ProcessId
    place: PlaceId
    boot: str
    is_confirmed: bool = False


class StartReceipts(Protocol):
    """What all servers of one instance remember of keyed starts. A claim is kept for 24 hours at least."""

    async def claim(self, chat: ChatId, key: str, claim: StartClaim) -> StartClaim:
        """Remember `claim` unless the key has one; returns what is remembered now. Atomic over all servers."""
        ...

    async def find(self, chat: ChatId, key: str) -> StartClaim | None:
        """The claim of a key."""
        ...

    async def find_process(self, chat: ChatId, process: ProcessId) -> StartClaim | None:
        """The claim that became this process."""
        ...

    async def confirm(self, chat: ChatId, key: str, process: ProcessId) -> None:
        """Remember that the claim became this process; another process's claim stays."""
        ...

    async def release(self, chat: ChatId, key: str, process: ProcessId) -> None:
        """Forget the claim of a start that did not become a process; another process's claim stays."""
        ...


class PlacesUnknownError(EngineUnavailableError):
    """Only some places can be told now (`known`); the others are unknown, not gone."""

    def __init__(self, text: str, known: tuple[PlaceRef, ...]) -> None:
        super().__init__(text)
        self.known = known


class PlacesOf(Protocol):
    """All places of the chat, as kept up to date by events, or (`is_fresh`) by a look that begins now."""

    async def __call__(self, *, is_fresh: bool = False) -> tuple[PlaceRef, ...]:
        """Look them up; raises `PlacesUnknownError` when not all can be listed now."""
        ...


ClientOf = Callable[[PlaceRef], Awaitable[ExecdClient]]
"""A living connection to a place; raises `ExecdUnavailableError`."""
PlaceOf = Callable[[WorkspaceName | None], Awaitable[PlaceRef]]
"""The place that a start means; raises what the workspaces say."""
OnStarted = Callable[[PlaceRef, ProcessId], None]
"""Told of each process that was newly started by this server, unless it has ended by then."""
Leave = Callable[[WorkspaceName], Awaitable[None]]
"""Whether what runs in a workspace may still be told something.

Raises:
    ForbiddenError
"""
HasRoom = Callable[[], Awaitable[None]]
"""Raises `LimitError` where one more process would be too many, whatever the chat itself may have."""
