"""When to look: after events of the engine, after edits on the disk, for who waits, and from time to time.

What is seen is of no interest here. Events and edits only wake; they may be lost, doubled or late.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from ws_mcp.core.engine.model import EngineEvent
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.seeing import listen_on

SAFETY_S = 30.0  # between looks that nothing asked for
SETTLE_S = 0.075  # events come in bursts; who waits for an answer does not wait for this
REOPEN_S = (0.2, 5.0)  # first and longest pause before events are listened to again
POLL_S = 2.0  # between looks at the inputs on the disk; clients do not notice 2 s
RETRY_S = 1.0  # until a definition that is half written is looked at again

Look = Callable[[frozenset[str], bool], Awaitable[None]]
"""Look at everything. Given the containers that events were about, or (True) that nothing known counts any more."""


class Looks:
    """The loop that looks; made by `open_looks`. Nothing is asked of anybody before `begin`."""

    def __init__(
        self,
        engine: Engine,
        look: Look,
        concerns: Callable[[EngineEvent], bool],
        stamp: Callable[[], Awaitable[str]],
        tasks: TaskGroup,
    ) -> None:
        self._engine = engine
        self._look = look
        self._concerns = concerns
        self._stamp = stamp
        self._tasks = tasks
        self._marked: set[str] = set()
        self._is_all_old = False
        self._wished = self._looked = 0  # wishes to look, and how many of them the last look came after
        self._wish, self._hurry, self._done = anyio.Event(), anyio.Event(), anyio.Event()
        self._waiting = 0
        self._retry_at = float("inf")
        self.is_listening = False
        self.is_begun = False

    def begin(self) -> None:
        """Look, and go on looking from now on."""
        if not self.is_begun:
            self.is_begun = True
            self.soon()
            self._tasks.start_soon(
                listen_on, self._listen, self._deaf, REOPEN_S, name="engine events for dev containers"
            )
            self._tasks.start_soon(self._look_on, name="looks at dev containers")
            self._tasks.start_soon(self._poll_on, name="polls of dev containers' inputs")

    def soon(self) -> None:
        """Look after this call, and let nobody see what was before it."""
        self._wished += 1
        self._wish.set()

    def retry(self) -> None:
        """Look again in a moment: something was half done."""
        self._retry_at = min(self._retry_at, anyio.current_time() + RETRY_S)
        self._wish.set()

    async def settled(self, *, is_fresh: bool) -> None:
        """Wait until all that was wished for is seen; with `is_fresh` it is wished for now."""
        self.begin()
        if is_fresh or (self._looked == self._wished and not self.is_listening):
            self.soon()
        wish = self._wished
        self._waiting += 1
        self._hurry.set()
        try:
            while self._looked < wish:
                await self._done.wait()
        finally:
            self._waiting -= 1

    async def _look_on(self) -> None:
        while True:
            safety_at = anyio.current_time() + SAFETY_S
            while self._looked == self._wished and anyio.current_time() < min(self._retry_at, safety_at):
                self._wish = anyio.Event()
                with anyio.move_on_after(min(self._retry_at, safety_at) - anyio.current_time()):
                    await self._wish.wait()
            if not self._waiting:
                self._hurry = anyio.Event()
                with anyio.move_on_after(SETTLE_S):
                    await self._hurry.wait()
            wish, marked, is_all_old = self._wished, frozenset(self._marked), self._is_all_old
            self._marked.clear()
            self._is_all_old, self._retry_at = False, float("inf")
            await self._look(marked, is_all_old)
            self._looked = wish
            self._done.set()
            self._done = anyio.Event()

    async def _poll_on(self) -> None:
        before = None
        while True:
            stamp = await self._stamp()
            if before is not None and stamp != before:
                self.soon()
            before = stamp
            await anyio.sleep(POLL_S)

    def _deaf(self) -> None:
        self.is_listening = False

    async def _listen(self) -> None:
        async with self._engine.open_events() as events:
            # What happened until now was not heard, so nothing that is known counts.
            self.is_listening = self._is_all_old = True
            self.soon()
            async for event in events:
                if event.kind == "container" and not event.action.startswith("exec") and self._concerns(event):
                    self._marked.add(event.id)
                    self.soon()


@asynccontextmanager
async def open_looks(
    engine: Engine, look: Look, concerns: Callable[[EngineEvent], bool], stamp: Callable[[], Awaitable[str]]
) -> AsyncGenerator[Looks]:
    """Own the tasks that look, listen and poll, once something asks. `stamp` changes when an input may have."""
    async with anyio.create_task_group() as tasks:
        yield Looks(engine, look, concerns, stamp, tasks)
        tasks.cancel_scope.cancel()
