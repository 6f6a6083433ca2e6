"""Whose things a request may see: the principal is the hard wall, the chat the inner one.

A chat is named by an explicit `chat` argument, else by what the host says about the conversation, else (stdio only) by
the environment or the project directory of this server. Hints select among the caller's own chats; they never grant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from ws_mcp.core.chats import ChatNotFoundError
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError, WsError
from ws_mcp.core.ids import ChatId, Principal, PrincipalId, Scope
from ws_mcp.edge.core_port import ChatRef, Core
from ws_mcp.edge.default_chats import DefaultChats

Request = ServerRequestContext[Any, Any]

MAX_HINT_CHARACTERS = 256  # ids of hosts are UUIDs or so; the bound keeps a hostile one out of the state


@dataclass(frozen=True, slots=True, kw_only=True)
class HintKey:
    """A `_meta` key in which a host names the conversation; believed only where the client's name has `client`."""

    key: str
    host: str
    client: str = ""


HINT_KEYS = (
    HintKey(key="vscode.conversationId", host="vscode"),
    HintKey(key="openai/session", host="openai"),
    HintKey(key="ai.opencode/sessionID", host="opencode"),
    HintKey(key="antigravity.google/conversation_id", host="antigravity"),
    HintKey(key="threadId", host="codex", client="codex"),
    HintKey(key="sessionId", host="codex", client="codex"),
)
CONVERSATION_VARIABLES = ("CLAUDE_CODE_SESSION_ID", "GROK_SESSION_ID")
PROJECT_VARIABLES = ("CLAUDE_PROJECT_DIR",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What selects a default chat; one of a project may be shared by several conversations."""

    text: str
    is_shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, in which chat."""

    scope: Scope
    chat: str
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Who is told of changes, and what says whether it still may be: its token can be revoked while it listens."""

    principal: PrincipalId
    stands: Callable[[], bool]
    may_watch: Callable[[str], bool] = bool  # this address, as the policy is now; as it is here, any


Standing = Callable[[], Callable[[], bool]]
"""What says, later, whether who makes the request that is being answered is still let in."""

_request: ContextVar[Request] = ContextVar("ws_mcp_request")
_looked: ContextVar[dict[str, ChatRef]] = ContextVar("ws_mcp_looked")  # chats of the request, by the handle it gave


def stdio_hint(environment: Mapping[str, str], directory: str) -> Hint:
    """The hint of a server that one host started for itself: its conversation if it says so, else its project."""
    for name in CONVERSATION_VARIABLES:
        if environment.get(name):
            return Hint(text=f"env:{name}:{_checked(environment[name], name)}", is_shared=False)
    project = next((environment[name] for name in PROJECT_VARIABLES if environment.get(name)), directory)
    return Hint(text=f"project:{Path(project)}", is_shared=True)


@cache
def local_principal() -> Principal:
    """The OS user: what stdio and a unix socket prove."""
    return Principal(id=PrincipalId(f"local:{os.getuid()}"))


def always_stands() -> Callable[[], bool]:
    """The standing of the OS user: it cannot be taken away."""
    return lambda: True


def request() -> Request:
    """The request that is being answered."""
    return _request.get()


class Identity:
    """Knows the caller of the request that is being answered. As middleware it must stand before all that asks it."""

    def __init__(
        self,
        core: Core,
        principal_of: Callable[[], Principal],
        default_hint: Hint | None,
        standing: Standing = always_stands,
        chat_header: str = "",
    ) -> None:
        self._core = core
        self._principal_of = principal_of
        self._standing = standing
        self._default_hint = default_hint
        self._chat_header = chat_header
        self._defaults = DefaultChats(core)

    @property
    def principal(self) -> Principal:
        """Who makes the request that is being answered."""
        return self._principal_of()

    def watcher(self) -> Watcher:
        """Who makes the request that is being answered, as one to be told of changes later."""
        return Watcher(principal=self.principal.id, stands=self._standing())

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None and not ctx.method.startswith("notifications/"):
            return None  # a request that wants no answer: the SDK does nothing with it, and nothing after this may
        token, looked = _request.set(ctx), _looked.set({})
        try:
            return await call_next(ctx)
        finally:
            _request.reset(token)
            _looked.reset(looked)

    async def caller(self, handle: str = "") -> Caller:
        """The caller, in the chat with this handle, or in the one of its token, or in the one that the hints select.

        Raises:
            NotFoundError: no such chat, whoever else has it, or not the one that the token is for.
            InvalidArgumentError: nothing says which chat is meant, or what says it cannot be read.
        """
        chat, principal, hint = await self.look(handle), self.principal, self._hint()
        if handle:
            return self._in(await self._core.chat(principal.id, handle) if chat.is_due else chat)
        assert hint is not None  # or there was nothing to be looked at
        return self._in(await self._defaults.of(principal.id, hint.text), is_shared=hint.is_shared)

    async def look(self, handle: str = "") -> ChatRef:
        """The chat of the caller, which may not be made yet; nothing is changed by looking. Raises as `caller`."""
        looked = _looked.get()
        if handle not in looked:
            looked[handle] = await self._found(handle)
        return looked[handle]

    async def _found(self, handle: str) -> ChatRef:
        principal, hint = self.principal, self._hint()
        default = self._core.default_chat_of(principal.id, hint.text) if hint else None
        if handle:
            found = await self._core.look_at_chat(principal.id, handle)
            if principal.chat and default and found.id != default.id:
                raise ChatNotFoundError  # for this token there is one chat
            return found
        if default is None:
            raise InvalidArgumentError(
                "this connection does not say which chat it belongs to: call provision_workspace first, then give the "
                "`chat` that it returns to every other call"
            )
        return default

    async def chat_of(self, handle: str) -> ChatId | None:
        """The chat that a call is about, as far as it can be known before the call: not of a new or unknown one."""
        try:
            return None if handle == "new" else (await self.look(handle)).id
        except WsError:
            return None

    async def caller_or_new(self, handle: str, label: str) -> Caller:
        """As `caller`; `new`, or no chat and nothing that selects one, makes a chat that nobody has had before.

        Raises:
            ForbiddenError: the token is for one chat only.
        """
        if handle == "new" and self.principal.chat:
            raise ForbiddenError("your token is for one chat and cannot begin another: leave `chat` out")
        if handle == "new" or not (handle or self._hint()):
            return self._in(await self._core.new_chat(self.principal.id, label))
        return await self.caller(handle)

    def _in(self, chat: ChatRef, *, is_shared: bool = False) -> Caller:
        return Caller(scope=Scope(principal=self.principal.id, chat=chat.id), chat=chat.handle, is_shared=is_shared)

    def _hint(self) -> Hint | None:
        if self.principal.chat:
            return Hint(text=f"token:{self.principal.chat}", is_shared=False)
        return hint_of(request()) or self._header_hint() or self._default_hint

    def _header_hint(self) -> Hint | None:
        """What a host says of the conversation in the header that the operator named; only HTTP has headers."""
        headers: Mapping[str, str] = getattr(request().request, "headers", {}) if self._chat_header else {}
        value = headers.get(self._chat_header)
        if value is None:
            return None
        return Hint(text=f"header:{_checked(value, self._chat_header)}", is_shared=False)


def hint_of(ctx: Request) -> Hint | None:
    """What the host says about the conversation in `_meta`.

    Raises:
        InvalidArgumentError: a key is there and its value is no usable id; taking it for none would show another chat.
    """
    meta = (ctx.params or {}).get("_meta")
    if not isinstance(meta, Mapping):
        return None
    values, client = cast("Mapping[str, object]", meta), ctx.session.client_params
    name = client.client_info.name.lower() if client else ""
    for known in HINT_KEYS:
        if values.get(known.key) is not None and known.client in name:
            text = _checked(values[known.key], known.key)
            return Hint(text=f"{known.host}:{known.key}:{text}", is_shared=False)
    return None


def _checked(value: object, name: str) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_HINT_CHARACTERS and value.isprintable():
        return value
    raise InvalidArgumentError(f"the conversation id that your host sends as {name!r} cannot be read; give `chat`")
