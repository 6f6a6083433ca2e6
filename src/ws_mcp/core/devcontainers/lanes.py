"""Calls to the disk, in lanes: a file system that does not answer (a dead network mount) holds up its own lane only.

Nothing can end such a call. Who waits for it is told in time, and its thread is left alone until the disk is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import anyio
import anyio.to_thread

from ws_mcp.core.devcontainers.port import SilentDefinitionError

T = TypeVar("T")

ANSWER_S = 5.0  # of one call; a slow mount answers by then, and nobody waits longer for a list


class Lane:
    """One thread, so that what its calls read and keep has one owner at a time. `name`: which files it is about."""

    def __init__(self, name: str, answer_s: float = ANSWER_S) -> None:
        self._name = name
        self._answer_s = answer_s
        # Its own thread and none of those that all share: it may be lost for long.
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._unended: deque[Callable[[], bool]] = deque()  # whether each has ended, in their order
        self._since = 0.0  # when the first of them was known to be at work

    @property
    def silent_s(self) -> float:
        """How long the call that is at work has lasted, if that is too long; else 0."""
        busy_s = self._busy_s()
        return busy_s if busy_s >= self._answer_s else 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """Call it, after those that were asked for before.

        Raises:
            SilentDefinitionError: it, or one before it, does not end.
        """
        self._check()
        call = self.begin(work)
        try:
            return await self.outcome(call)
        finally:
            call.cancel()  # not if it is at work

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Have it called, however long that takes."""
        if not self._busy_s():
            self._since = anyio.current_time()
        call = self._thread.submit(work)
        self._unended.append(call.done)
        return call

    async def outcome(self, call: Future[T]) -> T:
        """What a call came to.

        Raises:
            SilentDefinitionError: it has not ended, and may be waited for again.
        """
        while not call.done():
            self._check()
            left_s = self._answer_s - self._busy_s()
            await anyio.to_thread.run_sync(wait, (call,), left_s, abandon_on_cancel=True)
        return call.result()

    def _busy_s(self) -> float:
        while self._unended and self._unended[0]():
            self._unended.popleft()
            self._since = anyio.current_time()
        return anyio.current_time() - self._since if self._unended else 0.0

    def _check(self) -> None:
        if self.silent_s:
            raise SilentDefinitionError(self._name, self.silent_s)
