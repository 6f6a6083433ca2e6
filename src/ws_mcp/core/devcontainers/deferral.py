"""Work that is cancelled only where that leaves nothing half done; until there a cancellation waits, for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ws_mcp.core.errors import WsError

T = TypeVar("T")


class Deferral:
    """Where some work is: `is_risky` says whether it must not be cancelled now."""

    def __init__(self, *, is_risky: bool) -> None:
        self._is_risky = is_risky
        self._changed = anyio.Event()

    def set(self, *, is_risky: bool) -> None:
        """It is somewhere else now."""
        self._is_risky = is_risky
        self._changed.set()
        self._changed = anyio.Event()

    async def run(self, work: Callable[[], Awaitable[T]], within_s: float) -> T:
        """Do `work`; cancelled, it goes on for at most `within_s` while that is risky."""
        done: list[T] = []
        failure: WsError | None = None
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope(shield=True) as shield:
                tasks.start_soon(self._lift, shield, within_s)
                try:
                    done.append(await work())
                except WsError as error:
                    failure = error  # raised outside of the group, which would wrap it
                self.set(is_risky=False)
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return done[0]

    async def _lift(self, shield: anyio.CancelScope, within_s: float) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(within_s, shield=True):
                while self._is_risky:
                    await self._changed.wait()
            shield.shield = False
