"""Notices an `up` that hangs: it waits for the start of a container that has started long ago.

Source: devcontainers/cli issues 1269 and 1236; `up --expect-existing-container` then finishes the hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ws_mcp.core.devcontainers.model import Phase
from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.ids import ContainerId


class Watchdog:
    """Asked every second how long the CLI has been silent."""

    def __init__(
        self,
        containers: Callable[[], Iterable[Container]],
        look: Callable[[], None],
        before: Iterable[ContainerId],
        stall_s: float,
    ) -> None:
        self._containers = containers
        self._look = look
        self._before = frozenset(before)
        self._stall_s = stall_s

    def is_stalled(self, phase: Phase, silent_s: float) -> bool:
        """Whether it hangs; silence alone says nothing, since a pull or a hook may take its time."""
        if phase is not Phase.CREATE or silent_s < self._stall_s:
            return False
        # What the engine was seen to have is as old as its last event, which may have been lost here, too.
        self._look()
        return any(c.state is ContainerState.RUNNING and c.id not in self._before for c in self._containers())
