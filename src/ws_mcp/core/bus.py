"""Hands the changes that one server sees to the others that share its state, and theirs to it.

Only "look again" is said, soon and once for many: what is missed costs time and nothing else. Not handed on is what
processes write: who watches them is connected to their execd.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import ChatId
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Tell

GATHER_S = 0.03  # in which changes become one message: a start of many processes is one
RETRY_S = 0.5
MOST = 256  # changes that wait; with more the others are told to look at everything
_SAID = (Subject.PROCESSES, Subject.CONTAINERS, Subject.DEVCONTAINERS, Subject.BUILD_LOGS)
_EVERYTHING = Change(subject=Subject.EVERYTHING, is_foreign=True)

log = logging.getLogger(__name__)


class _Bus:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._waiting: dict[str, None] = {}
        self._came = anyio.Event()

    def note(self, change: Change) -> None:
        """Something was seen here, or was heard from others: then they know it."""
        if change.is_foreign or change.subject not in _SAID:
            return
        if len(self._waiting) >= MOST:
            self._waiting = {Subject.EVERYTHING.value: None}
        self._waiting[f"{change.subject.value}:{change.chat}"] = None
        self._came.set()

    def hear(self, said: str | None) -> None:
        """Another server said it; what a newer version says, and this one does not know, can be anything."""
        subject, _, chat = (said or "").partition(":")
        known = next((each for each in _SAID if each.value == subject), None)
        change = Change(subject=known, chat=ChatId(chat), is_foreign=True) if known is not None else _EVERYTHING
        self._changes.emit(change)

    async def run(self, tell: Tell) -> None:
        """Tell the others, until cancelled."""
        while True:
            await self._came.wait()
            await anyio.sleep(GATHER_S)
            self._came = anyio.Event()
            texts, self._waiting = tuple(self._waiting), {}
            try:
                await tell(texts)
            except StateError as error:
                log.info("the other servers cannot be told now what changed: %s", error)
                self._waiting = {Subject.EVERYTHING.value: None}
                self._came.set()
                await anyio.sleep(RETRY_S)


@asynccontextmanager
async def open_bus(state: State, changes: Changes) -> AsyncGenerator[Changes]:
    """Join this server's changes with those of the others as long as the block runs; yields them."""
    bus = _Bus(changes)
    async with state.open_bus(bus.hear) as tell, anyio.create_task_group() as tasks:
        changes.listen(bus.note)
        tasks.start_soon(bus.run, tell)
        yield changes
        tasks.cancel_scope.cancel()
