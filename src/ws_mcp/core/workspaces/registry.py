"""All workspaces of an instance, containers and local ones, and how to reach the execd of each.

What was resolved before is remembered only as long as a connection to its execd lives: after that the engine is asked.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
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
from ws_mcp.core.workspaces.builder import Report
from ws_mcp.core.workspaces.execd_inside import address_of
from ws_mcp.core.workspaces.file_access import StoppedFiles
from ws_mcp.core.workspaces.keeping import Keeping
from ws_mcp.core.workspaces.local import LocalWorkspaces
from ws_mcp.core.workspaces.model import (
    Ask,
    Provisioned,
    Removed,
    Stopped,
    Workspace,
    WorkspaceKind,
    WorkspaceListing,
    WorkspaceSpec,
    WorkspaceState,
)
from ws_mcp.core.workspaces.plan import Step
from ws_mcp.core.workspaces.service import ContainerWorkspaces

log = logging.getLogger(__name__)

STOP_GRACE_S = 5.0
MAIN = WorkspaceName("main")
HINT = "Call provision_workspace to make one."


class Workspaces:
    """What a chat has to work in. Every lookup takes the scope."""

    def __init__(self, keeping: Keeping | None, local: LocalWorkspaces, places: Places) -> None:
        self._containers = keeping.workspaces if keeping is not None else None
        self._watch = keeping.watch if keeping is not None else None
        self._local = local
        self._places = places
        self._resolved: dict[tuple[Scope, WorkspaceName], PlaceAddress] = {}

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        """Make the workspace be there, run, and answer.

        Raises:
            ConflictError, ImageNotFoundError, EngineUnavailableError, InvalidArgumentError, ForbiddenError, LimitError
        """
        naming.workspace_name(spec.name)
        await self._check_kind(scope, spec)
        if spec.kind is WorkspaceKind.LOCAL:
            made = await self._provision_local(scope, spec, ask, report)
        else:
            made = await self._engine().provision(scope, spec, ask, report)
        if made.workspace is None or ask.is_dry_run:
            return made
        self._resolved[scope, spec.name] = address = self.address(made.workspace)
        if spec.ready is None or self._containers is None:
            return made
        await report("waiting until it is ready", 0.95)
        found = await self._containers.readiness(made.workspace, await self._places.client(address), spec.ready)
        return replace(made, is_ready=found.is_ready, readiness=found.text)

    async def _provision_local(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        if ask.is_dry_run:
            raise InvalidArgumentError("a dry run is for containers; a local workspace is made from its directory only")
        began = anyio.current_time()
        workspace, step = await self._local.provision(scope, spec)
        await report("waiting for execd", 0.9)
        try:
            await self._places.client(self.address(workspace))
        except PlaceUnavailableError:
            if step is Step.CREATE:
                with anyio.move_on_after(STOP_GRACE_S, shield=True):
                    await self._undo(workspace, keep_volume=True)
            raise
        return Provisioned(workspace=workspace, change=step.value, duration_s=anyio.current_time() - began)

    async def stop(self, scope: Scope, name: WorkspaceName, *, restarts: bool) -> Stopped:
        """Stop a workspace, and start it again if asked; its files stay.

        Raises:
            NotFoundError
        """
        workspace = await self._found(scope, name)
        ended = await self._running(workspace)
        self._resolved.pop((scope, name), None)
        if workspace.kind is WorkspaceKind.LOCAL:
            await self._local.stop(workspace.place, partial(self._stop, workspace))
        else:
            await self._engine().stop(workspace)
        await self._places.drop(workspace.place)
        if restarts:
            spec = WorkspaceSpec(name=name, kind=workspace.kind)
            await self.provision(scope, spec, Ask(), _unheard)
        return Stopped(workspace=await self._found(scope, name), ended_processes=ended)

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
        if self._watch is None:
            return WorkspaceListing(workspaces=local)
        sight = await self._watch.list()
        return WorkspaceListing(workspaces=(*sight.of(scope), *local), unknown=sight.unknown)

    async def looked_again(self) -> None:
        """See what was just done to a container, before anybody asks for the list."""
        if self._watch is not None and self._watch.is_begun:
            await self._watch.look_now()

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
            PlaceUnavailableError: it is stopped.
        """
        # "main" wins wherever it exists, so without a name it need not be looked for as long as it is connected.
        meant = MAIN if name is None else name
        known = self._resolved.get((scope, meant))
        if known is not None and self._places.has(known):
            return meant, known
        workspace = await self.meant(scope, name)
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

    async def meant(self, scope: Scope, name: WorkspaceName | None) -> Workspace:
        """The workspace of this name, or, without one, the chat's only one, or the one called "main".

        Raises:
            NotFoundError, InvalidArgumentError
        """
        return await self._found(scope, name) if name is not None else await self._only(scope)

    def stopped_files(self, workspace: Workspace) -> AbstractAsyncContextManager[StoppedFiles]:
        """The files of a container workspace that does not run."""
        return self._engine().stopped_files(workspace)

    def address(self, workspace: Workspace) -> PlaceAddress:
        """How to reach the execd of a workspace."""
        return self._local.address(workspace.place) if workspace.kind is WorkspaceKind.LOCAL else address_of(workspace)

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


async def _unheard(_phase: str, _fraction: float) -> None: ...
