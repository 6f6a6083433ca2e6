"""What somebody wants to do, what is decided about it, and where both are written down (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ws_mcp.core.ids import ChatId, Principal

Transport = Literal["stdio", "http"]
Clean = Callable[[str], str]
"""Takes secrets out of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One call, read or subscription, before it has any effect.

    `verb`: the name of a tool, or the method of the protocol (`resources/read`); `target`: the address of a resource;
    `chat`: "" while there is none; `arguments`: checked, as the tool takes them. `is_own`: nobody called, the
    server does it by itself as the operator set it up. `clean`: takes out what the caller gave in confidence with it,
    which nobody else knows yet.
    """

    principal: Principal
    chat: ChatId | None = None
    verb: str
    target: str = ""
    is_read_only: bool
    transport: Transport = "stdio"
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    is_own: bool = False
    clean: Clean = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether it may be done. `rule`: which line of the policy says so; `reason`: for who is refused."""

    is_allowed: bool
    rule: str
    reason: str = ""


class Journal(Protocol):
    """Where acts are written down: the intent before the effect, the outcome after."""

    async def intend(self, act: Act, verdict: Verdict) -> str:
        """Write the intent; when this returns it is on the disk. Returns what the outcome names it by.

        Raises:
            StateError: it cannot be written; then nothing may be done.
        """
        ...

    def conclude(self, intent: str, outcome: str, detail: str = "", made: Mapping[str, str] | None = None) -> None:
        """Write what became of it: `ok`, `failed`, `denied`, `cut short`, or `left`, when its work goes on as a job.

        `detail`: the class of the error, or the rule; `made`: ids of what the call made or changed.
        """
        ...
