"""Tasks that run as long as a transport serves, in the task group of the one that began to serve last."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

Ts = TypeVarTuple("Ts")


class ServingTasks:
    """The task groups of the transports that serve."""

    def __init__(self) -> None:
        self._groups: list[TaskGroup] = []

    @property
    def can_run(self) -> bool:
        """Whether any transport serves."""
        return bool(self._groups)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Own what is begun meanwhile; may be entered for each transport. Leaving it cancels and waits."""
        async with anyio.create_task_group() as tasks:
            self._groups.append(tasks)
            try:
                yield
            finally:
                self._groups.remove(tasks)
                tasks.cancel_scope.cancel()

    def start(self, work: Callable[[*Ts], Coroutine[Any, Any, object]], *arguments: *Ts, name: object = None) -> None:
        """Begin a task."""
        self._groups[-1].start_soon(work, *arguments, name=name)
