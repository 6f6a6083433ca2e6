"""Tools for workspaces: make one, remove one, list what the chat has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.workspaces.model import Pending, WorkspaceKind
from ws_mcp.edge.arguments import JSON_OBJECT, Environment, Ports, Text
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Caller, Identity
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.options import Options, State, spec_of
from ws_mcp.edge.progress import reporter
from ws_mcp.edge.views import ContainersView, ProvisionView, RemoveView, WorkspaceView

SHARED = (
    "all conversations about this project that name no chat share this one; for a chat of your own call "
    'provision_workspace with chat="new" and give the handle that it returns to every other call'
)

OPTIONS = (
    "Rarer: runtime, platform, memory_mib, cpus, pids, tmpfs_mib, network (own, none, a shared name), folder of the "
    "host and access (read_only, read_write), mounts, files {path: text} of /configs, template, required, home, "
    "secrets, command, user, cwd, restart, idle_stop_s, ready {tcp, http or command}, replace (always: ends what "
    "runs), state (stopped, restarted), dry_run, request_key"
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
        tier: Annotated[int | None, Field(description="1: locked down, offline; 2 (default): development")] = None,
        env: Annotated[Environment | None, Field(description="Variables of all processes")] = None,
        ports: Annotated[Ports | None, Field(description="Published on 127.0.0.1")] = None,
        volume: Annotated[bool | None, Field(description="Keep /workspace; default true")] = None,
        options: Annotated[Options | None, JSON_OBJECT, Field(description=OPTIONS)] = None,
        chat: Annotated[Text, Field(description='Chat handle, or "new" for a chat of your own')] = "",
    ) -> ProvisionView:
        """Make a workspace (container or sandboxed directory) to run processes in. Call this first; repeating is safe.

        Returns the chat handle, state, and URLs of ports. Repeat with changes: it is made anew if nothing runs in it.
        """
        more = options or Options()
        caller = await self._identity.caller_or_new(chat, label=name)
        if more.state is not State.RUNNING:
            return await self._stopped(caller, name, more)
        kind_wanted = await self._kind(caller.scope, kind, name)
        spec = spec_of(
            more,
            name=name,
            kind=kind_wanted,
            image=image,
            tier=tier,
            env=env,
            ports=ports,
            volume=volume,
            rules=self._core.rules,
        )
        made = await self._core.provision(caller.scope, spec, more.ask, reporter())
        self._notifier.containers_changed(caller.scope.chat)
        if isinstance(made, Pending):
            return ProvisionView.pending(caller.chat, made)
        return ProvisionView.of(caller.chat, made, note=SHARED if caller.is_shared else "")

    async def remove_workspace(
        self,
        *,
        name: Annotated[Text, Field(description="Workspace")],
        keep_data: Annotated[bool, Field(description="Default true")] = True,
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

    async def _stopped(self, caller: Caller, name: str, options: Options) -> ProvisionView:
        """Stop it, and start it again if that is asked for; nothing else about it changes."""
        if options.model_fields_set != {"state"}:
            raise InvalidArgumentError('provision_workspace: options.state "stopped" or "restarted" stands alone')
        restarts = options.state is State.RESTARTED
        stopped = await self._core.stop(caller.scope, WorkspaceName(name), restarts=restarts)
        self._notifier.containers_changed(caller.scope.chat)
        self._notifier.processes_changed(caller.scope.chat)
        note = f"{stopped.ended_processes} running processes ended; its files stay"
        view = WorkspaceView.of(stopped.workspace)
        return ProvisionView(chat=caller.chat, change=options.state.value, workspace=view, note=note)

    async def _kind(self, scope: Scope, kind: str, name: str) -> WorkspaceKind:
        if kind != "auto":
            return WorkspaceKind(kind)
        listing = await self._core.workspaces(scope)
        found = next((workspace.kind for workspace in listing.workspaces if workspace.name == name), None)
        if found is not None:
            return found
        return WorkspaceKind.CONTAINER if await self._core.engine_answers() else WorkspaceKind.LOCAL
