"""A waiting read of a fake execd.

Source: execd/PROTOCOL.md, "read".
"""

from __future__ import annotations

import math
import re
from typing import Any

import anyio

from support.fake_output import FakeOutput
from support.fake_process import FakeProcess


class FakeWait:
    """What is waited for; raises `re.error` when that is no pattern."""

    def __init__(self, process: FakeProcess, output: FakeOutput, offset: int, wait: dict[str, Any]) -> None:
        self._process = process
        self._output = output
        self._offset = offset
        self._until: str = wait["until"]
        self._timeout_s: float = wait.get("timeout_ms", 0) / 1000
        self._idle_s: float = wait.get("idle_ms", 0) / 1000
        self._pattern = re.compile(wait.get("pattern", "").encode(), re.MULTILINE)

    async def run(self, scope: anyio.CancelScope) -> dict[str, object]:
        """Why it came back. `scope` ends it early, as if its time were over."""
        began = anyio.current_time()
        with scope:
            scope.deadline = began + self._timeout_s
            while (said := self._woke()) is None:
                with anyio.move_on_at(self._quiet_at(began)) as quiet:
                    await self._process.changed.wait()
                if quiet.cancelled_caught:
                    return {"woke": "idle"}
            return said
        return {"woke": "timeout"}

    def _woke(self) -> dict[str, object] | None:
        if self._until == "output" and self._output.end > self._offset:
            return {"woke": "output"}
        if self._until == "pattern":
            start, data = self._output.window(self._offset, 1 << 30)
            found = self._pattern.search(data)
            if found is not None:
                return {"woke": "pattern", "match": {"start": start + found.start(), "end": start + found.end()}}
        return {"woke": "exit"} if self._process.state == "ended" else None

    def _quiet_at(self, began: float) -> float:
        return max(began, self._process.last_change_s) + self._idle_s if self._until == "idle" else math.inf
