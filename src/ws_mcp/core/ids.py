"""One type for each kind of name, the caller's scope, and who makes new names."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType

ChatId = NewType("ChatId", str)
"""Public name of a chat (a hash of its handle): safe in labels, logs and listings. Grants nothing."""
ProcessId = NewType("ProcessId", str)
"""`p_` and 8 characters; unique, minted by the server before the start, so that a start can be repeated."""
PlaceId = NewType("PlaceId", str)
"""Name of the place where processes run: the engine name of the container, or of the local sandbox."""
ContainerId = NewType("ContainerId", str)
"""Full engine id, 64 hexadecimal digits."""
WorkspaceName = NewType("WorkspaceName", str)
"""What a chat calls one of its workspaces; unique in the chat."""
PrincipalId = NewType("PrincipalId", str)
"""Who the caller is, proved by the transport: `local:<uid>` on stdio."""
TicketId = NewType("TicketId", str)
"""`t_` and 192 random bits: who has it and is the right principal may ask for what it is for."""

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"

NewProcessId = Callable[[], ProcessId]

READ, WRITE = "ws:read", "ws:write"
SCOPES = frozenset({READ, WRITE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, as the transport proved it. `scopes`: what its token is for; `chat`: the only one that it is for."""

    id: PrincipalId
    scopes: frozenset[str] = SCOPES
    chat: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose things a request may see: every lookup in the core takes one."""

    principal: PrincipalId
    chat: ChatId


def new_process_id() -> ProcessId:
    """A fresh process id; 31**8 values, so that two servers of one chat do not meet."""
    name = "p_"
    left = secrets.randbelow(len(_ALPHABET) ** 8)  # the system is asked once, not for each character
    for _ in range(8):
        left, place = divmod(left, len(_ALPHABET))
        name += _ALPHABET[place]
    return ProcessId(name)


def new_ticket_id() -> TicketId:
    """A fresh ticket id, which nobody guesses."""
    return TicketId(f"t_{secrets.token_urlsafe(24)}")
