"""An audit journal in memory."""

from __future__ import annotations

import anyio.lowlevel

from ws_mcp.core.errors import StateError
from ws_mcp.core.policy.acts import Act, Verdict


class MemoryJournal:
    """What was written down. With `is_full` nothing can be written any more.

    `lines`: of an intent its verb, target and rule, of an outcome the line of its intent, and what it was;
    `acts`: the verbs of the intents; `outcomes`: verb, outcome and detail.
    """

    def __init__(self, *, is_full: bool = False) -> None:
        self.is_full = is_full
        self.lines: list[tuple[str, str, str]] = []
        self.acts: list[str] = []
        self.outcomes: list[tuple[str, str, str]] = []

    async def intend(self, act: Act, verdict: Verdict) -> str:
        await anyio.lowlevel.checkpoint()
        if self.is_full:
            raise StateError("the audit log cannot be written: no space is left; nothing was done")
        self.lines.append((act.verb, act.target, verdict.rule))
        self.acts.append(act.verb)
        return str(len(self.lines))

    def conclude(self, intent: str, outcome: str, detail: str = "", made: object = None) -> None:
        verb, _, _ = self.lines[int(intent) - 1]
        self.lines.append((intent, outcome, detail))
        self.outcomes.append((verb, outcome, detail))
