"""When to look at containers (or rooms): after events of the engine, for who waits, when told to, from time to time.

What is seen is of no interest here. Events only wake; they may be lost, doubled or late.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from ws_mcp.core.awaited import ENGINE, awaiting
from ws_mcp.core.engine.model import EngineEvent
from ws_mcp.core.errors import EngineError

log = logging.getLogger(__name__)

SAFETY_S = 30.0  # between looks that nothing asked for
STEADY_S = 30.0  # a stream of events that lived for so long was in order
SETTLE_S = 0.075  # events come in bursts; who waits for an answer does not wait for this
REOPEN_S = (0.2, 5.0)  # first and longest pause before events are listened to again

Look = Callable[[frozenset[str], bool], Awaitable[None]]
"""Look at everything. Given the containers that events were about, or (True) that nothing known counts any more."""

Concerns = Callable[[EngineEvent], bool]
"""Whether an event is about what is looked at."""
Work = Callable[[], Coroutine[None, None, None]]


class Source(Protocol):
    """Who tells of events: an engine, or the managers of a swarm."""

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """See `Engine.open_events`."""
        ...


class Looks:
    """The loop that looks; made by `open_looks`. Nothing is asked of anybody before `begin`."""

    def __init__(
        self,
        source: Source,
        look: Look,
        concerns: Concerns,
        *,
        what: str,
        beside: Work | None,
        kinds: Collection[str],
        tasks: TaskGroup,
    ) -> None:
        self._source = source
        self._look = look
        self._concerns = concerns
        self._what = what
        self._beside = beside
        self._kinds = kinds
        self._tasks = tasks
        self._marked: set[str] = set()
        self._is_all_old = False
        self._wished = self._looked = 0  # wishes to look, and how many of them the last look came after
        self._wish, self._hurry, self._done = anyio.Event(), anyio.Event(), anyio.Event()
        self._waiting = 0
        self._again_at = float("inf")
        self._has_heard = False
        self.back_at = float("-inf")  # when events could be heard again, after they could not
        self.is_listening = False
        self.is_begun = False

    def begin(self) -> None:
        """Look, and go on looking from now on."""
        if not self.is_begun:
            self.is_begun = True
            self.soon()
            self._tasks.start_soon(self._listen_on, name=f"engine events for {self._what}")
            self._tasks.start_soon(self._look_on, name=f"looks at {self._what}")
            if self._beside is not None:
                self._tasks.start_soon(self._beside, name=f"beside the looks at {self._what}")

    def soon(self) -> None:
        """Look after this call, and let nobody see what was before it."""
        self._wished += 1
        self._wish.set()

    def again_in(self, delay_s: float) -> None:
        """Look again in a moment: something was half done."""
        self._again_at = min(self._again_at, anyio.current_time() + delay_s)
        self._wish.set()

    @property
    def is_settled(self) -> bool:
        """Whether all that was wished for is seen."""
        return self._looked == self._wished

    async def settled(self, *, is_fresh: bool) -> None:
        """Wait until all that was wished for is seen; with `is_fresh` it is wished for now."""
        self.begin()
        if is_fresh or (self.is_settled and not self.is_listening):
            self.soon()
        wish = self._wished
        self._waiting += 1
        self._hurry.set()
        try:
            with awaiting(ENGINE):
                while self._looked < wish:
                    await self._done.wait()
        finally:
            self._waiting -= 1

    async def _look_on(self) -> None:
        while True:
            safety_at = anyio.current_time() + SAFETY_S
            while self.is_settled and anyio.current_time() < min(self._again_at, safety_at):
                self._wish = anyio.Event()
                with anyio.move_on_after(min(self._again_at, safety_at) - anyio.current_time()):
                    await self._wish.wait()
            if not self._waiting:
                self._hurry = anyio.Event()
                with anyio.move_on_after(SETTLE_S):
                    await self._hurry.wait()
            wish, marked, is_all_old = self._wished, frozenset(self._marked), self._is_all_old
            self._marked.clear()
            self._is_all_old, self._again_at = False, float("inf")
            await self._look(marked, is_all_old)
            self._looked = wish
            self._done.set()
            self._done = anyio.Event()

    async def _listen_on(self) -> None:
        """Open the engine's events again whenever they end."""
        pause_s, longest_s = REOPEN_S
        while True:
            began = anyio.current_time()
            try:
                await self._listen()
                log.info("the engine ended its stream of events")
            except EngineError as error:
                log.info("events of the engine cannot be heard now: %s", error)
            finally:
                self.is_listening = False
            if anyio.current_time() - began >= STEADY_S:
                pause_s = REOPEN_S[0]
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    async def _listen(self) -> None:
        async with self._source.open_events() as events:
            # What happened until now was not heard, so nothing that is known counts.
            self.is_listening = self._is_all_old = True
            if self._has_heard:
                self.back_at = anyio.current_time()
            self._has_heard = True
            self.soon()
            async for event in events:
                if event.kind in self._kinds and not event.action.startswith("exec") and self._concerns(event):
                    self._marked.add(event.id)
                    self.soon()


@asynccontextmanager
async def open_looks(
    source: Source,
    look: Look,
    concerns: Concerns,
    what: str,
    beside: Work | None = None,
    *,
    kinds: Collection[str] = ("container",),
) -> AsyncGenerator[Looks]:
    """Own the tasks that look and listen, once something asks. `what`: in words; `beside`: what else goes on then."""
    async with anyio.create_task_group() as tasks:
        yield Looks(source, look, concerns, what=what, beside=beside, kinds=kinds, tasks=tasks)
        tasks.cancel_scope.cancel()
