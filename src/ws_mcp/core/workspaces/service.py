"""Container workspaces: looks at what is, asks the plan, does its step; safe to repeat and with several servers.

What it makes is made whole or not at all: a failure, a cancelled call and a killed server leave nothing that the next
call does not put right.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio

from ws_mcp.core.clock import Now
from ws_mcp.core.engine.body import container_body
from ws_mcp.core.engine.model import BindMount, Container, ContainerState
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import NotFoundError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.delivery import ExecdVolumes
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.builder import Builder, Means, Report
from ws_mcp.core.workspaces.disk_holds import DiskHolds
from ws_mcp.core.workspaces.disk_plan import hold_of
from ws_mcp.core.workspaces.file_access import StoppedFiles
from ws_mcp.core.workspaces.found import workspace_of
from ws_mcp.core.workspaces.inside import Inside
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.looking import Look, Looking, request_of
from ws_mcp.core.workspaces.making import Making
from ws_mcp.core.workspaces.model import Ask, Probe, Provisioned, Workspace, WorkspaceSpec
from ws_mcp.core.workspaces.mounts import check_apart
from ws_mcp.core.workspaces.objects import data_of
from ws_mcp.core.workspaces.plan import Plan, Step, plan_workspace
from ws_mcp.core.workspaces.readiness import Readiness, readiness_of
from ws_mcp.core.workspaces.recipe import wish_digest
from ws_mcp.core.workspaces.removal import Removal
from ws_mcp.core.workspaces.rules import RulesOf, WorkspaceRules
from ws_mcp.core.workspaces.site import ONLY, Site

STOP_GRACE_S = 10.0
BUILDS = 6  # containers that are made or started at once: an engine gets no faster with more, only its tail longer


class ContainerWorkspaces:
    """The container workspaces of one instance on one engine."""

    def __init__(
        self, engine: Engine, state: State, rules_of: RulesOf, inside: Inside, now: Now, *, site: Site = ONLY
    ) -> None:
        self._engine = engine
        self._site = site
        self._state = state
        self._rules_of = rules_of
        self._inside = inside
        self._key = state.instance.key
        self._ledger = Ledger(state, now)
        self._holds = DiskHolds(state, now)
        self._making = Making()
        self._looking = Looking(engine, state, site)
        self._removal = Removal(engine, state, self._ledger, site=site)
        self._means = Means(
            engine=engine,
            state=state,
            ledger=self._ledger,
            inside=inside,
            repair=self._removal.repair,
            execd=ExecdVolumes(engine, state, site.lock_of),
            turns=anyio.Semaphore(BUILDS),
        )

    def place(self, scope: Scope, name: WorkspaceName) -> PlaceId:
        """The place of a workspace, whether or not it exists."""
        return naming.place_name(self._state.instance.id, scope, name)

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        """Make the workspace be there, run and answer; what is as asked for stays as it is.

        Raises:
            ConflictError: it differs and processes run in it, or the name is taken.
            ImageNotFoundError: the image is not on the engine.
            InvalidArgumentError, ForbiddenError, LimitError
        """
        began = anyio.current_time()
        rules = self._rules_of(scope.principal)  # once: what is checked is what is used
        await self._claim(scope, spec, ask)
        look = await self._looking.at(scope, spec, rules)
        plan = await self._planned(look, ask)
        if ask.is_dry_run:
            return await self._foretold(look, plan, began)
        is_begun = await self._ledger.intent(look.place) is not None  # by a server that is at it, or that died
        if plan.step is Step.NOTHING and look.found is not None and not is_begun:
            workspace = workspace_of(look.found, self._site)
            await self._inside.prepare(workspace, folder=look.binds.folder, is_fresh=False)
        else:
            workspace, plan = await self._do_under_lock(scope, spec, ask, rules, report)
        await self._keep_settings(look.place, spec)
        return Provisioned(
            workspace=workspace,
            change=plan.step.value,
            duration_s=anyio.current_time() - began,
            reasons=plan.reasons,
            notes=look.binds.notes,
        )

    async def list(self, scope: Scope) -> tuple[Workspace, ...]:
        """The chat's container workspaces, oldest first; foreign objects with copied labels are left out."""
        return tuple(
            workspace for _, workspace in await self._listed(naming.containers_of(self._state.instance.id, scope))
        )

    async def list_all(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every container workspace of this instance with its scope, for the operator."""
        return await self._listed({naming.INSTANCE: self._state.instance.id, naming.KIND: "container"})

    async def find(self, scope: Scope, name: WorkspaceName) -> Workspace | None:
        """One workspace of the chat, or None when the engine says that there is none."""
        found = await self._looking.container(self.place(scope, name))
        if found is None or not naming.is_ours(self._key, found.name, found.labels):
            return None
        return (await self._holds.shown((workspace_of(found, self._site),)))[0]

    async def shown(self, found: tuple[Workspace, ...]) -> tuple[Workspace, ...]:
        """Workspaces as seen on the engine, with what only this instance knows of them."""
        return await self._holds.shown(found)

    async def data(self) -> tuple[tuple[Scope, WorkspaceName], ...]:
        """Whose data there is on the engine, also that of removed workspaces."""
        return await data_of(self._engine, self._state.instance)

    async def readiness(self, workspace: Workspace, client: ExecdClient, probe: Probe) -> Readiness:
        """Wait for a probe; an answer in any case."""
        return await readiness_of(self._engine, client, workspace, probe)

    async def stop(self, workspace: Workspace) -> None:
        """Stop the container: what runs in it ends (TERM, then KILL), its files stay."""
        async with self._state.lock(workspace.place):
            # By what a server has begun it might be started again later, or be another container by now.
            if (found := await self._removal.settled(workspace.place)) is not None:
                await self._engine.stop(found.id, STOP_GRACE_S)

    @asynccontextmanager
    async def stopped_files(self, workspace: Workspace) -> AsyncGenerator[StoppedFiles]:
        """The files of a workspace that does not run, under its lock.

        Raises:
            NotFoundError: it is gone.
        """
        async with self._state.lock(workspace.place):
            found = await self._looking.container(workspace.place)
            if found is None:
                raise NotFoundError("workspace", workspace.name, (), "Call provision_workspace to make it again.")
            yield StoppedFiles(self._engine, workspace.place, found)

    async def remove(self, workspace: Workspace, *, keep_volume: bool) -> str:
        """Remove the container with all that belongs to it, and its data unless kept; returns the volume that stays."""
        return await self._removal.remove(workspace, keep_volume=keep_volume)

    async def remove_data(self, scope: Scope, name: WorkspaceName) -> bool:
        """Remove the data of a workspace whose container is gone; whether there was any."""
        return await self._removal.remove_data(self.place(scope, name))

    async def repair(self) -> int:
        """Finish or undo what servers that died had begun; returns how many workspaces that were."""
        return await self._removal.repair_all()

    async def _listed(self, labels: Mapping[str, str]) -> tuple[tuple[Scope, Workspace], ...]:
        listed = await self._ours(labels)
        found = [c for each in listed if (c := await self._looking.container(each.id)) is not None]
        found.sort(key=lambda container: (container.created_at, container.name))
        workspaces = await self._holds.shown(tuple(workspace_of(container, self._site) for container in found))
        return tuple(zip((naming.scope_of(container.labels) for container in found), workspaces, strict=True))

    async def _ours(self, labels: Mapping[str, str]) -> list[Container]:
        return [c for c in await self._engine.list_containers(labels) if naming.is_ours(self._key, c.name, c.labels)]

    async def _planned(self, look: Look, ask: Ask) -> Plan:
        running: int | None = 0
        hold = None
        if look.found is not None and look.found.state is ContainerState.PAUSED:
            hold = hold_of(workspace_of(look.found, self._site), (await self._holds.all()).get(look.place))
        if look.reasons and look.found is not None:
            running = await self._inside.running(workspace_of(look.found, self._site))
        return plan_workspace(
            look.spec.name,
            look.found,
            asked=look.asked,
            reasons=look.reasons,
            running=running,
            replace=ask.replace,
            hold=hold,
        )

    async def _do_under_lock(
        self, scope: Scope, spec: WorkspaceSpec, ask: Ask, rules: WorkspaceRules, report: Report
    ) -> tuple[Workspace, Plan]:
        place = self.place(scope, spec.name)
        async with self._state.lock(place) as lock:
            # Under the lock a container that was never started is nobody's work in progress.
            await self._removal.repair(place)
            look = await self._looking.at(scope, spec, rules)
            plan = await self._planned(look, ask)
            try:
                if plan.step is Step.CREATE:
                    await self._check_count(scope, place, rules)
                if look.binds.folder is not None:
                    await self._check_apart(look.place, look.binds.folder.path)
                if plan.step is Step.GO_ON:
                    await self._holds.let_go(place)
                return await Builder(self._means, look, lock).do(plan.step, rules, report), plan
            finally:
                self._making.end(scope, place)

    async def _check_count(self, scope: Scope, place: PlaceId, rules: WorkspaceRules) -> None:
        before = self._making.of(scope)
        there = {c.name for c in await self._ours(naming.containers_of(self._state.instance.id, scope))}
        self._making.begin(scope, place, there | before, rules.workspaces)

    async def _check_apart(self, place: PlaceId, folder: str) -> None:
        labels = {naming.INSTANCE: self._state.instance.id, naming.KIND: "container"}
        others = [c for c in await self._engine.list_containers(labels) if c.name != place]
        mounts = (mount for container in others for mount in container.mounts if isinstance(mount, BindMount))
        check_apart(folder, [mount.source for mount in mounts if not mount.is_read_only])

    async def _claim(self, scope: Scope, spec: WorkspaceSpec, ask: Ask) -> None:
        if ask.request_key:
            await self._ledger.claim_request(scope.chat, ask.request_key, wish_digest(self._key, spec))

    async def _keep_settings(self, place: PlaceId, spec: WorkspaceSpec) -> None:
        if spec.idle_stop_s is not None:
            await self._ledger.set_idle_stop(place, spec.idle_stop_s)

    async def _foretold(self, look: Look, plan: Plan, began: float) -> Provisioned:
        request = None
        if plan.step not in (Step.NOTHING, Step.START):
            info = await self._engine.info()
            request = container_body(request_of(look), is_podman=info.kind == "podman")
        return Provisioned(
            workspace=workspace_of(look.found, self._site) if look.found is not None else None,
            change=plan.step.value,
            duration_s=anyio.current_time() - began,
            reasons=plan.reasons,
            notes=look.binds.notes,
            request=request,
        )
