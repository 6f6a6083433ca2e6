"""What the scopes of a token let its bearer do (pure)."""

from __future__ import annotations

from collections.abc import Callable

from ws_mcp.core.ids import WRITE
from ws_mcp.core.policy.acts import Act, Verdict


def within_scopes(decide: Callable[[Act], Verdict] | None = None) -> Callable[[Act], Verdict]:
    """Decide as `decide` does, but let nobody write whose token is for reading only."""

    def decided(act: Act) -> Verdict:
        if not act.is_read_only and WRITE not in act.principal.scopes:
            reason = f"{act.verb} changes something, and your token is for reading only (it lacks the scope {WRITE})"
            return Verdict(is_allowed=False, rule="scope", reason=reason)
        return decide(act) if decide else Verdict(is_allowed=True, rule="scope")

    return decided
