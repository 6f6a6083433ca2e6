"""The resource about chats: which ones the caller has, and how much is in each."""

from __future__ import annotations

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope
from ws_mcp.core.known_chats import KEEP_UNUSED
from ws_mcp.core.processes.model import ProcessState
from ws_mcp.core.workspaces.model import WorkspaceState
from ws_mcp.edge.chat_views import ChatsView
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity

MAX_CHATS = 100  # newest ones; more is nothing that somebody reads
COUNT_S = 2.0  # how long processes are counted: who does not answer by then is not waited for


class ChatResources:
    """The caller's chats as JSON."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def chats(self) -> str:
        """Chats of the caller: label, last use, workspaces and running processes. No handles."""
        principal = self._identity.principal
        current = await self._identity.chat_of("")
        found = await self._core.chats(principal.id)
        if principal.chat:  # its token is for one only
            found = tuple(chat for chat in found if chat.id == current)
        listed = found[:MAX_CHATS]
        workspaces: dict[ChatId, int] = {}
        running: dict[ChatId, int] = {}
        with anyio.move_on_after(COUNT_S):
            async with anyio.create_task_group() as tasks:
                for chat in listed:
                    tasks.start_soon(self._count, principal.id, chat.id, workspaces, running)
        view = ChatsView.of(
            listed, current, workspaces=workspaces, running=running, total=len(found), days=KEEP_UNUSED.days
        )
        return view.shown()[1]

    async def _count(
        self, principal: PrincipalId, chat: ChatId, workspaces: dict[ChatId, int], running: dict[ChatId, int]
    ) -> None:
        scope = Scope(principal=principal, chat=chat)
        try:
            listing = await self._core.workspaces(scope)
            workspaces[chat] = len(listing.workspaces)
            if any(workspace.state is WorkspaceState.RUNNING for workspace in listing.workspaces):
                running[chat] = (await self._core.processes(scope).list(ProcessState.RUNNING, 1)).running
        except WsError:
            return  # the others are still worth telling
