"""What the chats of an instance have: workspaces, data that removed ones left, running processes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import anyio

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineUnavailableError, WsError
from ws_mcp.core.execd.places import Places
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState
from ws_mcp.core.workspaces.registry import Workspaces

COUNT_S = 1.0  # a silent place counts as empty: it must not hold up who asks

log = logging.getLogger(__name__)


class Holdings:
    """Looks at what is there, whoever's it is."""

    def __init__(self, workspaces: Workspaces, places: Places, engine: Engine | None, state: State) -> None:
        self._workspaces = workspaces
        self._places = places
        self._engine = engine
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
        if self._engine is None:
            return ()
        wanted = {naming.INSTANCE: self._state.instance.id, naming.KIND: "volume"}
        return tuple(
            (naming.scope_of(volume.labels), WorkspaceName(volume.labels[naming.WORKSPACE]))
            for volume in await self._engine.list_volumes(wanted)
            if naming.is_ours(self._state.instance.key, volume.name, volume.labels)
        )

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
        if self._engine is not None:
            volumes = await self._engine.list_volumes({naming.INSTANCE: self._state.instance.id})
            chats |= {volume.labels.get(naming.CHAT, "") for volume in volumes}
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
