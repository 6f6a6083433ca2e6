"""Looks at what is watched and nobody asks for: the places of chats, where other servers work, too; dev containers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.notifier import DEVCONTAINERS, Notifier

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0  # a place that another server made is found by then, a broken connection is made again
LOOK_S = 10.0  # bound of one look


class Attention:
    """Looks at the places of watched chats. Several transports may each run it: each chat is looked at once."""

    def __init__(self, core: Core, owner_of: Callable[[ChatId], PrincipalId | None], notifier: Notifier) -> None:
        self._core = core
        self._owner_of = owner_of
        self._notifier = notifier
        self._looked_at: dict[ChatId, float] = {}
        self._knows_devcontainers = False

    async def run(self) -> None:
        """Go on until cancelled; costs nothing while nobody watches."""
        while True:
            began = self._notifier.watch_began
            chats = {chat for _, chat in self._watched()}
            now = anyio.current_time()
            self._looked_at = {chat: at for chat, at in self._looked_at.items() if chat in chats}
            due = [chat for chat in chats if now - self._looked_at.get(chat, float("-inf")) >= LOOK_EVERY_S]
            self._looked_at |= dict.fromkeys(due, now)
            async with anyio.create_task_group() as tasks:
                if not self._knows_devcontainers and DEVCONTAINERS in self._notifier.watched():
                    self._knows_devcontainers = True
                    tasks.start_soon(self._look_at_devcontainers)
                for chat in due:
                    tasks.start_soon(self._look, chat)
            with anyio.move_on_after(LOOK_EVERY_S if chats else float("inf")):
                await began.wait()

    async def _look(self, chat: ChatId) -> None:
        is_new, owner = False, self._owner_of(chat)
        if owner is None:
            return
        with anyio.move_on_after(LOOK_S):
            try:
                is_new = await self._core.processes(Scope(principal=owner, chat=chat)).attend()
            except WsError as error:
                log.info("the places of a watched chat cannot be listed now: %s", error)
        for topic, of in self._watched() if is_new else ():
            if of == chat:
                self._notifier.changed(topic)  # it may have, unheard

    async def _look_at_devcontainers(self) -> None:
        # Once: their list keeps itself true from then on.
        with anyio.move_on_after(LOOK_S):
            try:
                await self._core.devcontainers.list()
            except WsError as error:
                log.info("dev containers that somebody watches cannot be listed now: %s", error)

    def _watched(self) -> list[tuple[str, ChatId]]:
        """The watched topics that are about processes, and their chats."""
        topics = self._notifier.watched()
        return [(topic, ChatId(topic.split()[1])) for topic in topics if topic.startswith(("processes ", "output "))]
