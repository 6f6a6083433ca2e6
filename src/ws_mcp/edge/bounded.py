"""Calls end by their deadline, whatever hangs below: each is a task, and who asked waits for it only so long.

What is cancelled then and does not end (a thread that writes to a dead disk, an act of an engine whose result has to be
known, a removal that is finished once it is begun) is left behind, and ends by itself. So it is for a caller that goes
away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, cast

import anyio
from mcp import MCPError

from ws_mcp.core.awaited import noting
from ws_mcp.core.errors import JobClosedError, LimitError, WsError
from ws_mcp.edge.deadlines import END_S, Deadline
from ws_mcp.edge.serving_tasks import ServingTasks

T = TypeVar("T")

LEFT = 64  # calls that were given up and have not ended: each has memory, some a thread


class _Call(Generic[T]):
    """One call: its task, and the patience of who waits for it."""

    def __init__(self, tool: str) -> None:
        self.scope, self.patience = anyio.CancelScope(), anyio.CancelScope()
        self.done = anyio.Event()
        self.result: T | None = None
        self.failure: MCPError | WsError | None = JobClosedError(f"{tool} was given up, since this server is closing")
        self.waits: list[str] = []

    async def run(self, work: Callable[[], Awaitable[T]]) -> None:
        token = _call.set(self)
        try:
            with self.scope, noting() as self.waits:
                self.result, self.failure = await work(), None
        except (MCPError, WsError) as error:  # a tool makes an answer of everything else
            self.failure = error
        finally:
            self.done.set()
            _call.reset(token)


_call: ContextVar[_Call[Any] | None] = ContextVar("ws_mcp_bounded_call", default=None)


@contextmanager
def unbounded() -> Generator[None]:
    """The time in which a person is asked, which has a bound of its own, does not count."""
    call = _call.get()
    if call is None:
        yield
        return
    left_s = call.patience.deadline - anyio.current_time()
    call.patience.deadline = float("inf")
    try:
        yield
    finally:
        call.patience.deadline = anyio.current_time() + left_s


class Bounded:
    """The calls of a server; they run in the task groups of the transports that serve."""

    def __init__(self) -> None:
        self._tasks = ServingTasks()
        self._left: set[_Call[Any]] = set()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Own the calls; may be entered for each transport that serves. Leaving it waits for what was left behind."""
        return self._tasks.running()

    async def run(self, tool: str, deadline: Deadline, seconds: float, work: Callable[[], Awaitable[T]]) -> T:
        """Do a call; its answer, or its failure.

        Raises:
            OverdueError: it did not end within `seconds`.
            LimitError: too many have not ended though they were given up.
        """
        self._left = {call for call in self._left if not call.done.is_set()}
        if len(self._left) >= LEFT:
            raise LimitError(
                f"{len(self._left)} calls that were given up have not ended yet, as many as may be: nothing was done. "
                "Have the operator look at the engine and the state directory (ws-mcp doctor)"
            )
        call = _Call[T](tool)
        self._tasks.start(call.run, work, name=tool)
        try:
            with call.patience as patience:
                patience.deadline = anyio.current_time() + seconds
                await call.done.wait()
        finally:
            # Read before it is cancelled: then it waits for nothing any more.
            waited_for = call.waits[-1] if call.waits else ""
            if not call.done.is_set():
                await self._end(call)
        if not patience.cancelled_caught or call.failure is None:
            return _answer_of(call)
        raise deadline.overdue(tool, seconds, waited_for)

    async def _end(self, call: _Call[Any]) -> None:
        call.scope.cancel()
        with anyio.move_on_after(END_S, shield=True):
            await call.done.wait()
        if not call.done.is_set():
            self._left.add(call)


def _answer_of(call: _Call[Any]) -> T:  # pyright: ignore[reportInvalidTypeVarUse]  # what its work returns
    if call.failure is not None:
        raise call.failure
    return cast("T", call.result)
