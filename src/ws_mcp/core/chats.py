"""Chats: minted, found again, and each with its process manager.

A chat is named by a *handle* of 128 random bits (or, for the default chat of a project, 128 bits of a keyed hash); its
public name, the chat id, is a hash of the handle. The handle is not kept anywhere; who has it and is the right
principal, has the chat.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import anyio

from ws_mcp.core.clock import Now, Shown, unchanged
from ws_mcp.core.errors import EngineError, NotFoundError, StorageFullError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.state import State

log = logging.getLogger(__name__)

KEEP_DEFAULTS = 1024  # hints whose chat is remembered: it is asked for at each call, and never changes
KEEP_MANAGERS = 256  # chats whose process managers are kept; an older one is made again when it is needed
OWNERS_S = 2.0  # how long the first call of a new chat may be held up by a silent engine
PREFIX = "c_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRef:
    """A chat that somebody is in. `is_due`: it was only looked at, and that it is used has to be noted."""

    id: ChatId
    handle: str
    label: str
    is_default: bool
    is_due: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChat:
    """A chat in a list, without its handle, which is not kept. `is_default`: a hint selects it, and always will."""

    id: ChatId
    label: str
    is_default: bool
    created_at: datetime
    used_at: datetime  # exact to a day


class Chats:
    """The chats of one instance."""

    def __init__(
        self,
        state: State,
        now: Now,
        make: Callable[[Scope], ProcessManager],
        owners: Callable[[], Awaitable[set[str]]],
        shown: Shown = unchanged,
    ) -> None:
        """`now`: by which chats grow old; `shown`: what of that is shown."""
        self._key = state.instance.key
        self._known = KnownChats(state, now)
        self._now = now
        self._shown = shown
        self._owners = owners
        self._make = make
        self._managers: dict[Scope, ProcessManager] = {}
        self._default_of = lru_cache(KEEP_DEFAULTS)(self._selected)

    async def default(self, principal: PrincipalId, hint: str) -> ChatRef:
        """The chat that `hint` selects among the principal's own; the same one after a restart."""
        chosen = self._default_of(principal, hint)
        return await self._remembered(principal, chosen.handle, chosen.label, is_default=True)

    def default_of(self, principal: PrincipalId, hint: str) -> ChatRef:
        """The same one, whether or not it was made."""
        return self._default_of(principal, hint)

    async def new(self, principal: PrincipalId, label: str) -> ChatRef:
        """A chat that nobody has had before."""
        return await self._remembered(principal, _handle(secrets.token_bytes(16)), label, is_default=False)

    async def find(self, principal: PrincipalId, handle: str) -> ChatRef:
        """The chat with this handle.

        Raises:
            NotFoundError: unknown, another principal's, or malformed: one and the same answer.
        """
        record = await self._known.find(_id_of(handle), principal)
        if record is None:
            raise ChatNotFoundError
        return ChatRef(id=ChatId(record.chat), handle=handle, label=record.label, is_default=False)

    async def look(self, principal: PrincipalId, handle: str) -> ChatRef:
        """As `find`, for who may not be allowed to use it: nothing is changed by it.

        Raises:
            NotFoundError
        """
        record = await self._known.look(_id_of(handle), principal)
        if record is None:
            raise ChatNotFoundError
        is_due = self._known.is_due(record)
        return ChatRef(id=ChatId(record.chat), handle=handle, label=record.label, is_default=False, is_due=is_due)

    async def list(self, principal: PrincipalId) -> tuple[ListedChat, ...]:
        """The principal's chats, newest first."""
        return tuple(
            ListedChat(
                id=ChatId(record.chat),
                label=record.label,
                is_default=self._is_default(principal, record),
                created_at=self._shown(datetime.fromisoformat(record.created_at)),
                used_at=self._shown(datetime.fromisoformat(record.used_at)),
            )
            for record in await self._known.list(principal)
        )

    async def forget(self, scope: Scope) -> bool:
        """Forget a chat that was closed: its handle is unknown from now on. One that a hint selects stays."""
        record = next((each for each in await self._known.list(scope.principal) if each.chat == scope.chat), None)
        if record is None or self._is_default(scope.principal, record):
            return False
        await self._known.remove(scope.chat, scope.principal)
        return True

    def processes(self, scope: Scope) -> ProcessManager:
        """The process manager of a chat. It holds nothing that could not be asked for again."""
        manager = self._managers.pop(scope, None) or self._make(scope)
        self._managers[scope] = manager
        while len(self._managers) > KEEP_MANAGERS:
            del self._managers[next(iter(self._managers))]
        return manager

    def _selected(self, principal: PrincipalId, hint: str) -> ChatRef:
        # A hint may be a path, and paths may be bytes that are no text.
        message = f"chat\0{principal}\0{hint}".encode(errors="surrogateescape")
        handle = _handle(hmac.new(self._key, message, hashlib.sha256).digest()[:16])
        return ChatRef(id=ChatId(_id_of(handle)), handle=handle, label=_shown(hint), is_default=True)

    def _is_default(self, principal: PrincipalId, record: ChatRecord) -> bool:
        # The label of a default chat is its hint, and whoever has the key can say which chat that selects.
        return self._default_of(principal, record.label).id == record.chat

    async def _remembered(self, principal: PrincipalId, handle: str, label: str, *, is_default: bool) -> ChatRef:
        chat = ChatId(_id_of(handle))
        record = ChatRecord(chat=chat, principal=principal, label=label, created_at=self._now().isoformat())
        is_due = False
        try:
            if await self._known.remember(record):
                await self._forget_unused()
        except StorageFullError as error:
            if not is_default:
                raise
            # Who only looks must not need room; what changes something needs some of its own.
            log.warning("that a chat is used cannot be written down: %s", error)
            is_due = True
        return ChatRef(id=chat, handle=handle, label=label, is_default=is_default, is_due=is_due)

    async def _forget_unused(self) -> None:
        """Done with each new chat: there are never more than were used of late, and those that have something."""
        unused = await self._known.unused()
        if not unused:
            return
        owners: set[str] | None = None
        with anyio.move_on_after(OWNERS_S):
            try:
                owners = await self._owners()
            except EngineError as error:
                log.info("which chats own something is not known now, so none is forgotten: %s", error)
        if owners is None:
            return
        await self._known.forget(unused - owners)
        await self._known.spare(unused & owners)


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
