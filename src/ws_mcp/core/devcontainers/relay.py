"""Hands on what the CLI says while it runs, without holding it up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from ws_mcp.core.devcontainers.build_logs import Write, step
from ws_mcp.core.devcontainers.port import CliProgress, Tell
from ws_mcp.core.engine.port import Report
from ws_mcp.core.errors import WsError

T = TypeVar("T")
OWN_STEP = 0.01


class Relay:
    """The progress of one recreate, which may be several runs of the CLI; only the newest is reported.

    All that is said goes to `write` as well, once that is set.
    """

    def __init__(self, report: Report) -> None:
        self.write: Write = _unwritten
        self._report = report
        self._latest: CliProgress | None = None
        self._fraction = 0.0
        self._changed = anyio.Event()

    async def run(self, work: Callable[[Tell], Awaitable[T]], on_reading: Callable[[], Awaitable[None]]) -> T:
        """Do `work` with its progress handed on; `on_reading` is done once, when the files begin to be read.

        `on_reading` must not raise.
        """
        done: list[T] = []
        failure: WsError | None = None
        is_reading, is_read = anyio.Event(), anyio.Event()

        def tell(progress: CliProgress) -> None:
            if progress.lines:
                self.write(progress.lines)
            if progress != self._latest:
                self._latest = progress
                self._changed.set()
            if progress.is_reading_files:
                is_reading.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hand_on)
            tasks.start_soon(_once, is_reading, on_reading, is_read)
            try:
                done.append(await work(tell))
            except WsError as error:
                failure = error  # raised outside of the group, which would wrap it
            if is_reading.is_set():
                await is_read.wait()
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return done[0]

    async def say(self, text: str) -> None:
        """Report a step of our own, a little further on: a client is told only of what is further than before."""
        self.write((step(text),))
        self._fraction = min(self._fraction + OWN_STEP, 1.0)
        await self._report(text, self._fraction)

    async def _hand_on(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            if self._latest is not None:
                # Each run of the CLI begins at 0 again, and a fraction never falls.
                self._fraction = max(self._fraction, self._latest.fraction)
                phase, detail = self._latest.phase.value, self._latest.detail
                await self._report(f"{phase}: {detail}" if detail else phase, self._fraction)


def _unwritten(_lines: Sequence[str]) -> None: ...


async def _once(event: anyio.Event, work: Callable[[], Awaitable[None]], done: anyio.Event) -> None:
    await event.wait()
    await work()
    done.set()
