"""Says that something changed, never what it is now: who hears it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ws_mcp.core.ids import ChatId, ProcessId

NO_CHAT = ChatId("")


class Subject(StrEnum):
    """What there is to look at again."""

    PROCESSES = "processes"
    OUTPUT = "output"
    CONTAINERS = "containers"
    DEVCONTAINERS = "devcontainers"  # of no chat
    BUILD_LOGS = "build logs"  # of dev containers
    EVERYTHING = "everything"  # of all chats: something may have been missed


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something of a chat changed; `process`: which one, where the subject is one of them.

    `is_foreign`: another server saw it.
    """

    subject: Subject
    chat: ChatId = NO_CHAT
    process: ProcessId | None = None
    is_foreign: bool = False


class Changes:
    """Hands changes to who listens, at once; a listener must not wait and must not raise."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Hear every change from now on."""
        self._listeners.append(listener)

    def emit(self, change: Change) -> None:
        """Tell who listens."""
        for listener in self._listeners:
            listener(change)
