"""Tools for workspaces: make one, remove one, list what the chat has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.workspaces.model import Workspace, WorkspaceKind, WorkspaceSpec
from ws_mcp.edge.arguments import Environment, Ports, Text
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.progress import reporter
from ws_mcp.edge.views import ContainersView, ProvisionView, RemoveView, WorkspaceView

SHARED = (
    "all conversations about this project that name no chat share this one; for a chat of your own call "
    'provision_workspace with chat="new" and give the handle that it returns to every other call'
)

Chat = Annotated[Text, Field(description="Chat handle")]


class WorkspaceTools:
    """The tools for the workspaces of the caller's chat."""

    def __init__(self, core: Core, identity: Identity, notifier: Notifier) -> None:
        self._core = core
        self._identity = identity
        self._notifier = notifier

    async def provision_workspace(
        self,
        *,
        name: Annotated[Text, Field(description="Default main")] = "main",
        image: Annotated[Text, Field(description="Container image; the server has a default")] = "",
        kind: Annotated[
            Literal["auto", "container", "local"],
            Field(description="local: sandboxed directory; auto: container if an engine answers"),
        ] = "auto",
        tier: Annotated[
            int | None, Field(ge=1, description="1: locked down, offline; 2 (default): development")
        ] = None,
        env: Annotated[Environment | None, Field(description="Variables of all processes")] = None,
        ports: Annotated[Ports | None, Field(description="Published on 127.0.0.1")] = None,
        volume: Annotated[bool | None, Field(description="Keep /workspace; default true")] = None,
        chat: Annotated[Text, Field(description='Chat handle, or "new" for a chat of your own')] = "",
    ) -> ProvisionView:
        """Make a workspace (container or sandboxed directory) to run processes in. Call this first; repeating is safe.

        Returns the chat handle, state, and URLs of ports.
        """
        caller = await self._identity.caller_or_new(chat, label=name)
        found = await self._found(caller.scope, name)
        wanted = WorkspaceKind(kind) if kind != "auto" else found.kind if found else await self._usual_kind()
        usual = self._core.default_image if wanted is WorkspaceKind.CONTAINER and not found else ""
        spec = WorkspaceSpec(
            name=WorkspaceName(name),
            kind=wanted,
            image=image or usual,
            tier=tier or 0,
            environment=env,
            ports=None if ports is None else tuple(ports),
            has_volume=volume,
        )
        made = await self._core.provision(caller.scope, spec, reporter())
        self._notifier.containers_changed(caller.scope.chat)
        return ProvisionView(
            chat=caller.chat,
            change=made.change,
            workspace=WorkspaceView.of(made.workspace),
            note=SHARED if caller.is_shared else "",
        )

    async def remove_workspace(
        self,
        *,
        name: Annotated[Text, Field(description="Workspace")],
        keep_data: Annotated[bool, Field(description="Default true: one of this name made later has the files")] = True,
        chat: Chat = "",
    ) -> RemoveView:
        """Remove a workspace and end its processes. Its files are kept unless keep_data is false."""
        caller = await self._identity.caller(chat)
        removed = await self._core.remove(caller.scope, WorkspaceName(name), keep_volume=keep_data)
        self._notifier.containers_changed(caller.scope.chat)
        self._notifier.processes_changed(caller.scope.chat)
        return RemoveView.of(removed, keep_data=keep_data)

    async def list_containers(self, chat: Chat = "") -> ContainersView:
        """List this chat's workspaces (containers and local ones) with state, image and URLs of ports."""
        caller = await self._identity.caller(chat)
        return ContainersView.of(caller.chat, await self._core.workspaces(caller.scope))

    async def _found(self, scope: Scope, name: str) -> Workspace | None:
        listing = await self._core.workspaces(scope)
        return next((workspace for workspace in listing.workspaces if workspace.name == name), None)

    async def _usual_kind(self) -> WorkspaceKind:
        return WorkspaceKind.CONTAINER if await self._core.engine_answers() else WorkspaceKind.LOCAL
