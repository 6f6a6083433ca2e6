"""Looks at what is watched and nobody asks for: the places of chats, where other servers work, too; dev containers."""

from __future__ import annotations

import logging

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import ChatId, Scope
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.notifier import DEVCONTAINERS, Notifier

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0  # a place that another server made is found by then, a broken connection is made again
LOOK_S = 10.0  # bound of one look


class Attention:
    """Looks at the places of watched chats. Several transports may each run it: each chat is looked at once."""

    def __init__(self, core: Core, notifier: Notifier) -> None:
        self._core = core
        self._notifier = notifier
        self._looked_at: dict[Scope, float] = {}
        self._knows_devcontainers = False

    async def run(self) -> None:
        """Go on until cancelled; costs nothing while nobody watches."""
        while True:
            began = self._notifier.watch_began
            chats = {scope for _, scope in self._watched()}
            now = anyio.current_time()
            self._looked_at = {scope: at for scope, at in self._looked_at.items() if scope in chats}
            due = [scope for scope in chats if now - self._looked_at.get(scope, float("-inf")) >= LOOK_EVERY_S]
            self._looked_at |= dict.fromkeys(due, now)
            async with anyio.create_task_group() as tasks:
                if not self._knows_devcontainers and DEVCONTAINERS in self._notifier.watched():
                    self._knows_devcontainers = True
                    tasks.start_soon(self._look_at_devcontainers)
                for scope in due:
                    tasks.start_soon(self._look, scope)
            with anyio.move_on_after(LOOK_EVERY_S if chats else float("inf")):
                await began.wait()

    async def _look(self, scope: Scope) -> None:
        is_new = False
        with anyio.move_on_after(LOOK_S):
            try:
                is_new = await self._core.processes(scope).attend()
            except WsError as error:
                log.info("the places of a watched chat cannot be listed now: %s", error)
        for topic, of in self._watched() if is_new else ():
            if of == scope:
                self._notifier.changed(topic)  # it may have, unheard

    async def _look_at_devcontainers(self) -> None:
        # Once: their list keeps itself true from then on.
        with anyio.move_on_after(LOOK_S):
            try:
                await self._core.devcontainers.list()
            except WsError as error:
                log.info("dev containers that somebody watches cannot be listed now: %s", error)

    def _watched(self) -> list[tuple[str, Scope]]:
        """The watched topics that are about processes, and whose chats those are."""
        return [
            (topic, Scope(principal=principal, chat=ChatId(topic.split()[1])))
            for topic, principal in self._notifier.watchers()
            if topic.startswith(("processes ", "output "))
        ]
