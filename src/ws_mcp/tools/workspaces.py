"""Tools for workspaces: make one or change it, stop it, remove it, list what the chat has."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from ws_mcp.core.closing import Closed, Closing
from ws_mcp.core.devcontainers.model import DevContainer
from ws_mcp.core.errors import ConflictError, InvalidArgumentError
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.job import StillRunning
from ws_mcp.core.workspaces.model import Pending, Workspace, WorkspaceKind
from ws_mcp.edge.arguments import JSON_OBJECT, Environment, Ports, Text
from ws_mcp.edge.core_port import Core, DevContainers
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.options import Options, spec_of
from ws_mcp.edge.place_views import ContainersView, RemoveView, StopView
from ws_mcp.edge.progress import reporter
from ws_mcp.edge.tasks import goes_on
from ws_mcp.edge.views import ProvisionView

SHARED = (
    "all conversations about this project that name no chat share this one; for a chat of your own call "
    'provision_workspace with chat="new" and give the handle that it returns to every other call'
)

OPTIONS = (
    "Rarer: runtime, platform, memory_mib, cpus, pids, tmpfs_mib, network (own, none, name), folder, access (none, "
    "read_only, read_write), mounts {target: file}, files {path: text} of /configs, template, required, home, secrets "
    "{name: value}, command, user, cwd, restart, idle_stop_s, ready {tcp, http or command}, replace (if_idle, always), "
    "dry_run, request_key"
)

ALL = "*"  # every workspace of the chat, with every process of the chat
REMOVED = 256  # workspaces whose removal is remembered, in case it is asked for again

Chat = Annotated[Text, Field(description="Handle")]
Named = Annotated[Text, Field(description="Name; *: all")]


class WorkspaceTools:
    """The tools for the workspaces of the caller's chat."""

    def __init__(self, core: Core, identity: Identity, notifier: Notifier) -> None:
        self._core = core
        self._identity = identity
        self._notifier = notifier
        self._removed: dict[tuple[Scope, str], None] = {}  # workspaces, the last ones

    async def provision_workspace(
        self,
        *,
        name: Annotated[Text, Field(description="Default main")] = "main",
        image: Annotated[Text, Field(description="Has a default")] = "",
        kind: Annotated[
            Literal["auto", "container", "local"], Field(description="local: sandboxed directory")
        ] = "auto",
        tier: Annotated[
            int | None,
            Field(ge=1, description="1: locked down, offline; 2: default; 3, 4: root on the host"),
        ] = None,
        env: Annotated[Environment | None, Field(description="Variables")] = None,
        ports: Annotated[Ports | None, Field(description="Published on 127.0.0.1")] = None,
        volume: Annotated[bool | None, Field(description="Keep /workspace; default true")] = None,
        options: Annotated[Options | None, JSON_OBJECT, Field(description=OPTIONS)] = None,
        chat: Annotated[Text, Field(description='Handle, or "new"')] = "",
    ) -> ProvisionView:
        """Make or change a workspace: a container or a sandboxed directory. Call this first; repeating is safe."""
        caller = await self._identity.caller_or_new(chat, label=name)
        more = options or Options()
        spec = spec_of(
            more,
            name=name,
            kind=await self._kind(caller.scope, kind, name),
            image=image,
            tier=tier,
            env=env,
            ports=ports,
            volume=volume,
            rules=self._core.rules_of(caller.scope.principal),
        )
        made = await self._core.provision(caller.scope, spec, more.ask, reporter())
        note = SHARED if caller.is_shared else ""
        view = partial(ProvisionView.of, caller.chat, is_dry_run=more.dry_run, given=more.host_paths, note=note)
        if isinstance(made, Pending):
            goes_on(view)
            return ProvisionView.working(caller.chat, made, note=note)
        if not more.dry_run:
            self._notifier.containers_changed(caller.scope.chat)
        return view(made)

    async def stop_workspace(
        self,
        *,
        name: Named,
        restart: Annotated[bool, Field(description="Start it again")] = False,
        chat: Chat = "",
    ) -> StopView:
        """Stop a workspace with its processes. Its files stay."""
        caller = await self._identity.caller(chat)
        if name == ALL:
            if restart:
                raise InvalidArgumentError('stop_workspace: `restart` is for one workspace; name "*" only stops')
            return StopView.of_all(await self._close(caller.scope, Closing.STOP))
        devcontainer = await self._devcontainer(caller.scope, name)
        if devcontainer is not None:
            act = self._devcontainers.restart if restart else self._devcontainers.stop
            done = await act(name, reporter())
            if isinstance(done, StillRunning):
                goes_on(StopView.of_devcontainer)
            return StopView.of_devcontainer(done)
        stopped = await self._core.stop(caller.scope, WorkspaceName(name), restarts=restart)
        self._notifier.containers_changed(caller.scope.chat)
        self._notifier.processes_changed(caller.scope.chat)
        return StopView.of(stopped)

    async def remove_workspace(
        self,
        *,
        name: Named,
        keep_data: Annotated[bool, Field(description="Default true: its files stay")] = True,
        chat: Chat = "",
    ) -> RemoveView:
        """Remove a workspace with its processes."""
        caller = await self._identity.caller(chat)
        if name == ALL:
            how = Closing.REMOVE if keep_data else Closing.DELETE
            return RemoveView.of_all(await self._close(caller.scope, how), had_data=not keep_data)
        found = await self._found(caller.scope, name)
        devcontainer = await self._devcontainer(caller.scope, name)
        if devcontainer is not None and (caller.scope, name) in self._removed:
            raise ConflictError(
                f"workspace {name!r} of this chat is removed; the dev container of the same name is something else: "
                f"to remove that, give the id of its container as `name` ({(devcontainer.container or 'none')[:12]})"
            )
        if devcontainer is not None:
            gone = await self._devcontainers.remove(name, reporter())
            if isinstance(gone, StillRunning):
                goes_on(partial(RemoveView.of_devcontainer, name))
            return RemoveView.of_devcontainer(name, gone)
        removed = await self._core.remove(caller.scope, WorkspaceName(name), keep_volume=keep_data)
        self._notifier.containers_changed(caller.scope.chat)
        self._notifier.processes_changed(caller.scope.chat)
        self._remember_removed(caller.scope, name)
        # One that cannot be seen any more is only removed again for the data that it left.
        return RemoveView.of(removed, had_data=not keep_data and (found is None or bool(found.volume)))

    async def list_containers(self, chat: Chat = "") -> ContainersView:
        """List this chat's workspaces (limits, URLs of ports) and dev containers (why out of date)."""
        caller = await self._identity.caller(chat)
        found = await self._devcontainers.list()
        return ContainersView.of(caller.chat, await self._core.workspaces(caller.scope), found)

    @property
    def _devcontainers(self) -> DevContainers:
        return self._core.devcontainers_of(self._identity.principal.id)

    async def _close(self, scope: Scope, how: Closing) -> Closed:
        closed = await self._core.close(scope, how)
        self._notifier.containers_changed(scope.chat)
        self._notifier.processes_changed(scope.chat)
        return closed

    async def _devcontainer(self, scope: Scope, name: str) -> DevContainer | None:
        """The dev container that is meant, by its name or the id of its container.

        A workspace of the chat wins over one of the same name, also while it is not known whether there is one.
        """
        listing = await self._core.workspaces(scope)
        if listing.unknown or any(workspace.name == name for workspace in listing.workspaces):
            return None
        return (await self._devcontainers.list()).named(name)

    def _remember_removed(self, scope: Scope, name: str) -> None:
        """That a removal which is repeated means the same thing."""
        self._removed[scope, name] = None
        if len(self._removed) > REMOVED:
            del self._removed[next(iter(self._removed))]

    async def _found(self, scope: Scope, name: str) -> Workspace | None:
        listing = await self._core.workspaces(scope)
        return next((workspace for workspace in listing.workspaces if workspace.name == name), None)

    async def _kind(self, scope: Scope, kind: str, name: str) -> WorkspaceKind:
        if kind != "auto":
            return WorkspaceKind(kind)
        found = await self._found(scope, name)
        if found is not None:
            return found.kind
        return WorkspaceKind.CONTAINER if await self._core.engine_answers() else WorkspaceKind.LOCAL
