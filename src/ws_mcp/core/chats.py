"""Chats: minted, found again, and each with its process manager.

A chat is named by a *handle* of 128 random bits (or, for the default chat of a project, 128 bits of a keyed hash); its
public name, the chat id, is a hash of the handle. The handle is not kept anywhere; who has it and is the right
principal, has the chat.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from ws_mcp.core.clock import Now
from ws_mcp.core.errors import NotFoundError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.state import ChatRecord, State

KEEP_MANAGERS = 256  # chats whose process managers are kept; an older one is made again when it is needed
PREFIX = "c_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRef:
    """A chat as its owner sees it. `handle` is empty in listings: it is not kept."""

    id: ChatId
    handle: str
    label: str
    is_default: bool


class Chats:
    """The chats of one instance."""

    def __init__(self, state: State, now: Now, make: Callable[[Scope], ProcessManager]) -> None:
        self._state = state
        self._now = now
        self._make = make
        self._managers: dict[Scope, ProcessManager] = {}

    async def default(self, principal: PrincipalId, hint: str) -> ChatRef:
        """The chat that `hint` selects among the principal's own; the same one after a restart."""
        # A hint may be a path, and paths may be bytes that are no text.
        message = f"chat\0{principal}\0{hint}".encode(errors="surrogateescape")
        digest = hmac.new(self._state.instance.key, message, hashlib.sha256).digest()
        return await self._remembered(principal, _handle(digest[:16]), _shown(hint), is_default=True)

    async def new(self, principal: PrincipalId, label: str) -> ChatRef:
        """A chat that nobody has had before."""
        return await self._remembered(principal, _handle(secrets.token_bytes(16)), label, is_default=False)

    async def find(self, principal: PrincipalId, handle: str) -> ChatRef:
        """The chat with this handle.

        Raises:
            NotFoundError: unknown, another principal's, or malformed: one and the same answer.
        """
        record = await self._state.chat(_id_of(handle), principal)
        if record is None:
            raise ChatNotFoundError
        return ChatRef(id=ChatId(record.chat), handle=handle, label=record.label, is_default=False)

    async def list(self, principal: PrincipalId) -> tuple[ChatRef, ...]:
        """The principal's chats, newest first."""
        return tuple(
            ChatRef(id=ChatId(r.chat), handle="", label=r.label, is_default=False)
            for r in await self._state.chats(principal)
        )

    def processes(self, scope: Scope) -> ProcessManager:
        """The process manager of a chat. It holds nothing that could not be asked for again."""
        manager = self._managers.pop(scope, None) or self._make(scope)
        self._managers[scope] = manager
        while len(self._managers) > KEEP_MANAGERS:
            del self._managers[next(iter(self._managers))]
        return manager

    async def _remembered(self, principal: PrincipalId, handle: str, label: str, *, is_default: bool) -> ChatRef:
        chat = ChatId(_id_of(handle))
        record = ChatRecord(chat=chat, principal=principal, label=label, created_at=self._now().isoformat())
        await self._state.remember_chat(record)
        return ChatRef(id=chat, handle=handle, label=label, is_default=is_default)


class ChatNotFoundError(NotFoundError):
    """The caller has no such chat, whether or not somebody else has."""

    def __init__(self) -> None:
        hint = 'Leave `chat` out to use your default chat, or call provision_workspace with chat="new".'
        super().__init__("handle", "given as `chat`", (), hint)
        self.args = (f"you have no chat with the handle given as `chat`. {hint}",)


def _shown(hint: str) -> str:
    return hint.encode(errors="surrogateescape").decode(errors="replace")


def _handle(bits: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(bits).decode().rstrip("=")


def _id_of(handle: str) -> str:
    return hashlib.sha256(handle.encode(errors="replace")).hexdigest()[:24]
