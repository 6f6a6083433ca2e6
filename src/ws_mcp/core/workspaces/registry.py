"""All workspaces of an instance, containers and local ones, and how to reach the execd of each.

What was resolved before is remembered only as long as a connection to its execd lives: after that the engine is asked.
"""

from __future__ import annotations

import logging
from functools import partial

import anyio

from ws_mcp.core.errors import (
    ConflictError,
    EngineError,
    EngineUnavailableError,
    InvalidArgumentError,
    NotFoundError,
    PlaceUnavailableError,
    WsError,
)
from ws_mcp.core.execd.places import PlaceAddress, Places
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.local import LocalWorkspaces
from ws_mcp.core.workspaces.model import (
    OBSTACLES,
    Provisioned,
    Removed,
    Workspace,
    WorkspaceKind,
    WorkspaceListing,
    WorkspaceSpec,
    WorkspaceState,
)
from ws_mcp.core.workspaces.plan import Step
from ws_mcp.core.workspaces.service import ContainerWorkspaces, Report

log = logging.getLogger(__name__)

STOP_GRACE_S = 5.0
MAIN = WorkspaceName("main")
HINT = "Call provision_workspace to make one."


class Workspaces:
    """What a chat has to work in. Every lookup takes the scope."""

    def __init__(self, containers: ContainerWorkspaces | None, local: LocalWorkspaces, places: Places) -> None:
        self._containers = containers
        self._local = local
        self._places = places
        self._resolved: dict[tuple[Scope, WorkspaceName], PlaceAddress] = {}

    async def provision(self, scope: Scope, spec: WorkspaceSpec, report: Report) -> Provisioned:
        """Make the workspace be there, run, and answer.

        Raises:
            ConflictError, ImageNotFoundError, EngineUnavailableError, InvalidArgumentError
        """
        naming.workspace_name(spec.name)
        began = anyio.current_time()
        await self._check_kind(scope, spec)
        if spec.kind is WorkspaceKind.LOCAL:
            workspace, step = await self._local.provision(scope, spec)
        else:
            workspace, step = await self._engine().provision(scope, spec, report)
        await report("waiting for execd", 0.9)
        address = self.address(workspace)
        try:
            await self._places.client(address)
        except PlaceUnavailableError:
            if step in (Step.CREATE, Step.REPLACE):
                with anyio.move_on_after(STOP_GRACE_S, shield=True):
                    await self._undo(workspace, keep_volume=True)
            raise
        self._resolved[scope, spec.name] = address
        return Provisioned(workspace=workspace, change=step.value, duration_s=anyio.current_time() - began)

    async def remove(self, scope: Scope, name: WorkspaceName, *, keep_volume: bool) -> Removed:
        """Remove a workspace with its processes, and its data unless kept.

        Raises:
            NotFoundError
        """
        try:
            workspace = await self._found(scope, name)
        except NotFoundError:
            # A removal that was cut short may have left the data: whoever asks for its removal again means that.
            if keep_volume or self._containers is None or not await self._containers.remove_data(scope, name):
                raise
            return Removed(name=name, ended_processes=0, kept_volume="")
        ended = await self._running(workspace)
        self._resolved.pop((scope, name), None)
        kept = await self._undo(workspace, keep_volume=keep_volume)
        return Removed(name=name, ended_processes=ended, kept_volume=kept)

    async def list(self, scope: Scope) -> WorkspaceListing:
        """The chat's workspaces; containers are unknown, not absent, while the engine does not answer."""
        local = await self._local.list(scope)
        if self._containers is None:
            return WorkspaceListing(workspaces=local)
        try:
            found = (*await self._containers.list(scope), *local)
        except EngineError as error:
            return WorkspaceListing(workspaces=local, unknown=str(error))
        for workspace in found:
            if workspace.state is not WorkspaceState.RUNNING:
                # Its connection may not have noticed: a start would be sent into what cannot answer.
                self._resolved.pop((scope, workspace.name), None)
        return WorkspaceListing(workspaces=found)

    async def list_all(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every workspace of this instance, for the operator.

        Raises:
            EngineError
        """
        containers = await self._containers.list_all() if self._containers else ()
        return (*containers, *await self._local.list_all())

    async def resolve(self, scope: Scope, name: WorkspaceName | None) -> tuple[WorkspaceName, PlaceAddress]:
        """The workspace that a start means; without a name the chat's only one, or the one called "main".

        Raises:
            NotFoundError: the chat has no such workspace.
            InvalidArgumentError: no name was given and it is not clear which one is meant.
            PlaceUnavailableError: it is stopped, or cannot answer now.
        """
        # "main" wins wherever it exists, so without a name it need not be looked for as long as it is connected.
        meant = MAIN if name is None else name
        known = self._resolved.get((scope, meant))
        if known is not None and self._places.has(known):
            return meant, known
        workspace = await self._found(scope, name) if name is not None else await self._only(scope)
        if obstacle := OBSTACLES.get(workspace.state):
            raise PlaceUnavailableError(f"workspace {workspace.name!r} does not answer now: {obstacle}")
        if workspace.state is not WorkspaceState.RUNNING:
            raise PlaceUnavailableError(
                f"workspace {workspace.name!r} is stopped; call provision_workspace to start it"
            )
        self._resolved[scope, workspace.name] = address = self.address(workspace)
        return workspace.name, address

    def _engine(self) -> ContainerWorkspaces:
        if self._containers is None:
            raise EngineUnavailableError("this server was started without a container engine; ask for kind 'local'")
        return self._containers

    def address(self, workspace: Workspace) -> PlaceAddress:
        """How to reach the execd of a workspace."""
        if workspace.kind is WorkspaceKind.LOCAL:
            return self._local.address(workspace.place)
        return self._engine().address(workspace)

    async def _check_kind(self, scope: Scope, spec: WorkspaceSpec) -> None:
        other = self._local if spec.kind is WorkspaceKind.CONTAINER else self._containers
        if other is None:
            return
        try:
            found = await other.find(scope, spec.name)
        except EngineError as error:
            if await self._is_engine_free():
                return
            raise EngineUnavailableError(
                f"whether a container workspace {spec.name!r} exists is not known now: {error}; "
                "start the engine, or choose another name for the local workspace"
            ) from error
        if found is not None:
            raise ConflictError(
                f"workspace {spec.name!r} exists and is of kind {found.kind.value!r}; choose another name"
            )

    async def _is_engine_free(self) -> bool:
        """Whether no container workspace can exist, since none was ever made from this state directory."""
        return not await self._local.has_used_an_engine()

    async def _found(self, scope: Scope, name: WorkspaceName) -> Workspace:
        unknown: EngineError | None = None
        for kind in (self._containers, self._local):
            try:
                found = await kind.find(scope, name) if kind is not None else None
            except EngineError as error:
                unknown = error
                continue
            if found is not None:
                return found
        if unknown is not None:
            raise unknown
        listing = await self.list(scope)
        raise NotFoundError("workspace", name, (w.name for w in listing.workspaces), HINT)

    async def _only(self, scope: Scope) -> Workspace:
        listing = await self.list(scope)
        by_name = {workspace.name: workspace for workspace in listing.workspaces}
        if main := by_name.get(WorkspaceName("main")):
            return main
        if len(by_name) == 1 and not listing.unknown:
            return listing.workspaces[0]
        if by_name:
            hidden = " and containers that are not known now" if listing.unknown else ""
            raise InvalidArgumentError(f"say which workspace: this chat has {', '.join(sorted(by_name))}{hidden}")
        if listing.unknown:
            raise EngineUnavailableError(listing.unknown)
        raise NotFoundError("workspace", "main", (), HINT)

    async def _running(self, workspace: Workspace) -> int:
        if workspace.state is not WorkspaceState.RUNNING:
            return 0
        try:
            stats = await (await self._places.client(self.address(workspace))).stats()
        except WsError as error:
            log.info("removing a workspace whose execd does not answer: %s", error)
            return 0
        return stats.running

    async def _undo(self, workspace: Workspace, *, keep_volume: bool) -> str:
        if workspace.kind is WorkspaceKind.LOCAL:
            stop = partial(self._stop, workspace)
            kept = await self._local.remove(workspace.place, stop, keep_data=keep_volume)
        else:
            kept = await self._engine().remove(workspace, keep_volume=keep_volume)
        await self._places.drop(workspace.place)
        return kept

    async def _stop(self, workspace: Workspace) -> None:
        await (await self._places.client(self.address(workspace))).stop(STOP_GRACE_S)
