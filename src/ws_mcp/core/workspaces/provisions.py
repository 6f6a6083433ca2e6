"""What changes workspaces: made, stopped, removed. Equal provisions share one job, and one that takes long goes on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import anyio

from ws_mcp.core.errors import (
    ConflictError,
    EngineConflictError,
    EngineError,
    EngineUnavailableError,
    InvalidArgumentError,
    NotFoundError,
    PlaceUnavailableError,
    WsError,
)
from ws_mcp.core.execd.places import Places
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.job import JobRequest, StillRunning
from ws_mcp.core.jobs import Jobs
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.builder import Report
from ws_mcp.core.workspaces.model import (
    Ask,
    Pending,
    Provisioned,
    Removed,
    Stopped,
    Workspace,
    WorkspaceKind,
    WorkspaceSpec,
    WorkspaceState,
)
from ws_mcp.core.workspaces.plan import Step
from ws_mcp.core.workspaces.recipe import wish_digest
from ws_mcp.core.workspaces.registry import Workspaces
from ws_mcp.core.workspaces.rules import RulesOf

log = logging.getLogger(__name__)

STOP_GRACE_S = 5.0

HasRoom = Callable[[Scope, WorkspaceSpec], Awaitable[None]]
"""Raises `LimitError` where the workspace would be one too many."""


class Provisions:
    """Changes the workspaces of an instance. Every call takes the scope."""

    def __init__(
        self,
        workspaces: Workspaces,
        places: Places,
        jobs: Jobs,
        *,
        key: bytes,
        rules_of: RulesOf,
        has_room: HasRoom | None = None,
    ) -> None:
        self._has_room = has_room
        self._workspaces = workspaces
        self._places = places
        self._jobs = jobs
        self._key = key
        self._rules_of = rules_of

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned | Pending:
        """Make the workspace be there; a call that waited long enough is told how far it is.

        Raises:
            ConflictError, ImageNotFoundError, EngineUnavailableError, InvalidArgumentError, ForbiddenError, LimitError
        """
        request = JobRequest(
            key=_key_of(scope, spec.name),
            digest=f"{wish_digest(self._key, spec)} {ask.replace} {ask.is_dry_run} {ask.request_key}",
            what=f"workspace {spec.name!r}",
        )

        async def work(told: Report) -> Provisioned:
            if self._has_room is not None and not ask.is_dry_run:
                await self._has_room(scope, spec)
            made = await self._provision(scope, spec, ask, told)
            if made.change != Step.NOTHING.value and not ask.is_dry_run:
                self._workspaces.look_again()
            return made

        done = await self._jobs.run(request, work, report)
        return Pending(phase=done.phase, elapsed_s=done.elapsed_s) if isinstance(done, StillRunning) else done

    async def _provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        naming.workspace_name(spec.name)
        await self._check_kind(scope, spec)
        if spec.kind is WorkspaceKind.LOCAL:
            self._rules_of(scope.principal).check_local()
            made = await self._provision_local(scope, spec, ask, report)
        else:
            made = await self._workspaces.containers.provision(scope, spec, ask, report)
        if made.workspace is None or ask.is_dry_run:
            return made
        self._workspaces.remember(scope, made.workspace)
        if spec.ready is None:
            return made
        await report("waiting until it is ready", 0.95)
        client = await self._places.client(self._workspaces.address(made.workspace))
        found = await self._workspaces.containers.readiness(made.workspace, client, spec.ready)
        return replace(made, is_ready=found.is_ready, readiness=found.text)

    async def _provision_local(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        if ask.is_dry_run:
            raise InvalidArgumentError("a dry run is for containers; a local workspace is made from its directory only")
        began = anyio.current_time()
        workspace, step = await self._workspaces.local.provision(scope, spec)
        await report("waiting for execd", 0.9)
        try:
            await self._places.client(self._workspaces.address(workspace))
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
        await self._jobs.forget(_key_of(scope, name))
        workspace = await self._workspaces.found(scope, name)
        ended = await self._running(workspace)
        self._workspaces.forget(scope, name)
        if workspace.kind is WorkspaceKind.LOCAL:
            await self._workspaces.local.stop(workspace.place, partial(self._stop, workspace))
        else:
            await self._workspaces.containers.stop(workspace)
        await self._jobs.forget(_key_of(scope, name))  # one that was under way may have ended since
        await self._places.drop(workspace.place)
        if restarts:
            spec = WorkspaceSpec(name=name, kind=workspace.kind)
            await self._provision(scope, spec, Ask(), _unheard)
        self._workspaces.look_again()
        return Stopped(workspace=await self._workspaces.found(scope, name), ended_processes=ended)

    async def remove(self, scope: Scope, name: WorkspaceName, *, keep_volume: bool) -> Removed:
        """Remove a workspace with its processes, and its data unless kept.

        Raises:
            NotFoundError
        """
        await self._jobs.forget(_key_of(scope, name))
        try:
            workspace = await self._workspaces.found(scope, name)
        except NotFoundError:
            # A removal that was cut short may have left the data: whoever asks for its removal again means that.
            if keep_volume or not self._workspaces.has_engine:
                raise
            if not await self._workspaces.containers.remove_data(scope, name):
                raise
            return Removed(name=name, ended_processes=0, kept_volume="")
        ended = await self._running(workspace)
        self._workspaces.forget(scope, name)
        try:
            kept = await self._undo(workspace, keep_volume=keep_volume)
        finally:
            await self._jobs.forget(_key_of(scope, name))  # one that was under way may have ended since
        return Removed(name=name, ended_processes=ended, kept_volume=kept)

    async def _check_kind(self, scope: Scope, spec: WorkspaceSpec) -> None:
        is_container = spec.kind is WorkspaceKind.CONTAINER
        if not is_container and not self._workspaces.has_engine:
            return
        try:
            other = self._workspaces.local if is_container else self._workspaces.containers
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
        return not await self._workspaces.local.has_used_an_engine()

    async def _running(self, workspace: Workspace) -> int:
        if workspace.state is not WorkspaceState.RUNNING:
            return 0
        try:
            stats = await (await self._places.client(self._workspaces.address(workspace))).stats()
        except WsError as error:
            log.info("removing a workspace whose execd does not answer: %s", error)
            return 0
        return stats.running

    async def _undo(self, workspace: Workspace, *, keep_volume: bool) -> str:
        if workspace.kind is WorkspaceKind.LOCAL:
            stop = partial(self._stop, workspace)
            kept = await self._workspaces.local.remove(workspace.place, stop, keep_data=keep_volume)
        else:
            try:
                kept = await self._workspaces.containers.remove(workspace, keep_volume=keep_volume)
            except EngineConflictError:
                await self._places.drop(workspace.place)  # only its data may have stayed
                raise
        await self._places.drop(workspace.place)
        self._workspaces.look_again()
        return kept

    async def _stop(self, workspace: Workspace) -> None:
        await (await self._places.client(self._workspaces.address(workspace))).stop(STOP_GRACE_S)


async def _unheard(_phase: str, _fraction: float) -> None: ...


def _key_of(scope: Scope, name: WorkspaceName) -> str:
    return f"{scope.principal}\0{scope.chat}\0{name}"
