"""What `ws-mcp doctor` has found: one fact a line, with a verdict and advice."""

from __future__ import annotations

from dataclasses import dataclass

from ws_mcp.console import Mark


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was found; `advice`: what to do about it, empty if nothing; `is_danger`: nobody may miss it."""

    topic: str
    text: str
    mark: Mark = Mark.OK
    advice: str = ""
    is_danger: bool = False
