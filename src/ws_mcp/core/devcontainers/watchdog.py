"""Notices a run of the CLI that hangs, most often an `up` that waits for the start of a container that has started.

Source: devcontainers/cli issues 1269 and 1236; `up --expect-existing-container` then finishes the hooks. What the
definition itself runs (a build, its hooks) may be silent for as long as it takes: there the job's deadline counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ws_mcp.core.devcontainers.model import Phase
from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.ids import ContainerId

READ_S = 300.0  # of silence while it reads: files, the engine, the index of a registry, with its retries
CREATE_S = 600.0  # while nothing runs yet: compose pulls images, and waits for services to become healthy


def is_reading_stalled(phase: Phase, silent_s: float) -> bool:
    """Whether it hangs before it has done anything."""
    return phase is Phase.RESOLVE and silent_s >= READ_S


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
        """Whether it hangs."""
        if phase is not Phase.CREATE:
            return is_reading_stalled(phase, silent_s)
        if silent_s < self._stall_s:
            return False
        # What the engine was seen to have is as old as its last event, which may have been lost here, too.
        self._look()
        return silent_s >= CREATE_S or self.is_running

    @property
    def is_running(self) -> bool:
        """Whether the container of this run was seen to run."""
        return any(c.state is ContainerState.RUNNING and c.id not in self._before for c in self._containers())
