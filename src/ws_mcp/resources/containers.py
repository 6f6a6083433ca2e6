"""Resources about containers: what the chat has to work in."""

from __future__ import annotations

from ws_mcp.core.errors import EngineUnavailableError, NotFoundError
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.place_views import ContainersView
from ws_mcp.edge.views import WorkspaceView


class ContainerResources:
    """The workspaces of a chat as JSON, the same as list_containers answers."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def containers(self) -> str:
        """Workspaces of this chat: state, image, tier, URLs of published ports."""
        return await self.chat_containers("")

    async def chat_containers(self, chat: str) -> str:
        """Workspaces of a chat: state, image, tier, URLs of published ports."""
        caller = await self._identity.caller(chat)
        found = await self._core.devcontainers_of(self._identity.principal.id).list()
        view = ContainersView.of(caller.chat, await self._core.workspaces(caller.scope), found)
        return view.shown()[1]

    async def workspace(self, chat: str, workspace: str) -> str:
        """One workspace of a chat: state, image, tier, limits, URLs of published ports."""
        caller = await self._identity.caller(chat)
        listing = await self._core.workspaces(caller.scope)
        found = next((each for each in listing.workspaces if each.name == workspace), None)
        if found is None and listing.unknown:
            raise EngineUnavailableError(f"which workspaces there are is not known now: {listing.unknown}")
        if found is None:
            names = tuple(each.name for each in listing.workspaces)
            raise NotFoundError("workspace", workspace, names, "provision_workspace makes one.")
        return WorkspaceView.of(found).shown()[1]
