"""When the lifecycle commands of a run began and ended, by the times of the events around them (pure).

What tells of a hook has no time of its own.
"""

from __future__ import annotations

import re

from ws_mcp.core.devcontainers.model import Hook, Phase

MAX_HOOKS = 100  # features bring their own
_NAME = re.compile(r"Running (?P<hook>\w+)\.\.\.$")
_HOOKS = {
    phase.value: phase
    for phase in (Phase.ON_CREATE, Phase.UPDATE_CONTENT, Phase.POST_CREATE, Phase.POST_START, Phase.POST_ATTACH)
}


class HookTimes:
    """The hooks of one run, in the order in which they began to end."""

    def __init__(self) -> None:
        self._now_ms = 0
        self._ended: list[Hook] = []
        self._running: dict[str, int] = {}

    def all(self) -> tuple[Hook, ...]:
        """Those that ended, and as not well those that did not."""
        return (*self._ended, *(self._hook(name, is_ok=False) for name in self._running))

    def pass_time(self, timestamp_ms: int) -> None:
        """An event came; 0 when it has no time."""
        self._now_ms = max(self._now_ms, timestamp_ms)

    def progress(self, name: str, status: str) -> Phase | None:
        """The phase of the hook that is told of; None when it is none (a step of its own, dotfiles)."""
        found = _NAME.match(name)
        phase = _HOOKS.get(found["hook"]) if found else None
        if phase is None:
            return None
        if status == "running":
            self._running.setdefault(phase.value, self._now_ms)
        elif phase.value in self._running:
            self._end(phase.value, is_ok=status == "succeeded")
        return phase

    def initializing(self) -> None:
        """The initializeCommand began: it is told of in other words than the rest."""
        self._running.setdefault(Phase.INITIALIZE.value, self._now_ms)

    def initialized(self) -> None:
        """The CLI went on: nothing says that the initializeCommand ended well but this."""
        if Phase.INITIALIZE.value in self._running:
            self._end(Phase.INITIALIZE.value, is_ok=True)

    def _end(self, name: str, *, is_ok: bool) -> None:
        hook = self._hook(name, is_ok=is_ok)
        del self._running[name]
        if len(self._ended) < MAX_HOOKS:
            self._ended.append(hook)

    def _hook(self, name: str, *, is_ok: bool) -> Hook:
        return Hook(name=name, duration_s=(self._now_ms - self._running[name]) / 1000, is_ok=is_ok)
