"""What the chats of an instance have: workspaces, data that removed ones left, running processes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import anyio

from ws_mcp.core.errors import EngineUnavailableError, WsError
from ws_mcp.core.execd.places import Places
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.state import State
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState
from ws_mcp.core.workspaces.registry import Workspaces

COUNT_S = 1.0  # a silent place counts as empty: it must not hold up who asks

log = logging.getLogger(__name__)


class Holdings:
    """Looks at what is there, whoever's it is."""

    def __init__(self, workspaces: Workspaces, places: Places, state: State) -> None:
        self._workspaces = workspaces
        self._places = places
        self._state = state

    async def workspaces(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every workspace.

        Raises:
            EngineError
        """
        return await self._workspaces.list_all()

    async def volumes(self) -> tuple[tuple[Scope, WorkspaceName], ...]:
        """Every volume with data of a workspace, also of a removed one: whose it is.

        Raises:
            EngineError
        """
        return await self._workspaces.containers.data() if self._workspaces.has_engine else ()

    async def running(self, workspaces: Iterable[Workspace]) -> int:
        """How many processes run in these, of whichever chat."""
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            for workspace in workspaces:
                if workspace.state is WorkspaceState.RUNNING:
                    tasks.start_soon(self._count, workspace, counts)
        return sum(counts)

    async def owners(self) -> set[str]:
        """The chats that have a workspace, or the data of one that was removed.

        Raises:
            EngineError: containers and volumes cannot be listed now.
        """
        chats: set[str] = {scope.chat for scope, _ in await self._workspaces.list_all()}
        if self._workspaces.has_engine:
            chats |= {scope.chat for scope, _ in await self.volumes()}
        elif await self._state.has_fills():
            raise EngineUnavailableError("this server was started without an engine, and another one had one")
        return chats

    async def _count(self, workspace: Workspace, counts: list[int]) -> None:
        with anyio.move_on_after(COUNT_S):
            try:
                client = await self._places.client(self._workspaces.address(workspace))
                counts.append((await client.stats()).running)
            except WsError as error:
                log.info("what runs in a workspace cannot be counted now: %s", error)
