"""What stands at the gate: policy, quota, audit, count; each is a seam that the operator's choices fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.acts import Act, Journal, Transport, Verdict
from ws_mcp.edge.confirming import ConfirmNow, never

Decide = Callable[[Act], Verdict]
"""Whether an act is allowed; pure, from the policy of this moment."""
Admit = Callable[[Act], AbstractContextManager[None]]
"""Takes a place for a call while it runs.

Raises:
    LimitError: too many calls of this chat or principal, at once or in a second.
"""

HoldStream = Callable[[PrincipalId], AbstractContextManager[None]]
"""Takes a place for a stream while it is open.

Raises:
    LimitError: too many of this principal.
"""


class Measure(Protocol):
    """Who counts acts."""

    def begin(self) -> None:
        """One began."""
        ...

    def end(self, verb: str, outcome: str, seconds: float, rule: str) -> None:
        """It ended. `rule`: which one refused it, or ""."""
        ...


@dataclass(slots=True)
class Passage:
    """An act that was let through, while it has its effect."""

    made: Mapping[str, str] = field(default_factory=dict[str, str])
    outcome: str = "cut short"  # cancelled, or a bug
    detail: str = ""


def always() -> bool:
    """Yes."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What stands at the gate; without one of them its part is open. What each says can change with the policy.

    `hold_stream`: for a transport that holds streams itself.
    """

    decide: Decide | None = None
    admit: Admit | None = None
    hold_stream: HoldStream | None = None
    journal: Journal | None = None
    is_audited: Callable[[], bool] = always  # by the journal, if there is one
    measure: Measure | None = None
    transport: Transport = "stdio"
    confirm: ConfirmNow = never
    damage: Callable[[], str] = str  # of the state, and what to do: as long as there is one nothing is changed
