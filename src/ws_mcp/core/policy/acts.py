"""What somebody wants to do, and what is decided about it (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ws_mcp.core.ids import ChatId, Principal

Transport = Literal["stdio", "http"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One call, read or subscription, before it has any effect.

    `verb`: the name of a tool, or the method of the protocol (`resources/read`); `target`: the address of a resource;
    `chat`: "" while there is none; `arguments`: checked, as the tool takes them.
    """

    principal: Principal
    chat: ChatId | None = None
    verb: str
    target: str = ""
    is_read_only: bool
    transport: Transport = "stdio"
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether it may be done. `rule`: which line of the policy says so; `reason`: for who is refused."""

    is_allowed: bool
    rule: str
    reason: str = ""
