"""Container workspaces: looks at what is, asks the plan, does its step; safe to repeat and with several servers.

What it makes is made whole or not at all: a failure, a cancelled call and a killed server leave nothing that the next
call does not put right.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ws_mcp.core.engine.fill import EMPTY_IMAGE
from ws_mcp.core.engine.model import Container, Image
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineNotFoundError,
    InvalidArgumentError,
    NotFoundError,
    WsError,
)
from ws_mcp.core.execd import delivery
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming, plan
from ws_mcp.core.workspaces.found import workspace_of
from ws_mcp.core.workspaces.model import Workspace, WorkspaceSpec
from ws_mcp.core.workspaces.owner import give_to_user
from ws_mcp.core.workspaces.plan import Ground, Step
from ws_mcp.core.workspaces.tiers import tier

Report = Callable[[str, float], Awaitable[None]]
"""Called with the phase (words) and the fraction done (0 to 1)."""

CLEAN_UP_S = 30.0


class ContainerWorkspaces:
    """The container workspaces of one instance on one engine."""

    def __init__(self, engine: Engine, state: State, keep_ended: int) -> None:
        self._engine = engine
        self._keep_ended = keep_ended
        self._state = state
        self._key = state.instance.key

    def place(self, scope: Scope, name: WorkspaceName) -> PlaceId:
        """The place of a workspace, whether or not it exists."""
        return naming.place_name(self._state.instance.id, scope, name)

    async def provision(self, scope: Scope, spec: WorkspaceSpec, report: Report) -> tuple[Workspace, Step]:
        """Make the workspace be there and run; what is as asked for stays as it is.

        Raises:
            ConflictError: a workspace of this name exists and differs, or the name is taken.
            ImageNotFoundError: the image is not on the engine.
        """
        plan.check_environment(spec)
        plan.check_ports(spec)
        place = self.place(scope, spec.name)
        found = await self._found(place)
        step = plan.plan_workspace(spec, self._key, found)
        if found is not None and step is Step.NOTHING:
            return workspace_of(found), step
        # Under the lock a container that was never started is nobody's work in progress.
        async with self._state.lock(place):
            found = await self._found(place)
            step = plan.plan_workspace(spec, self._key, found)
            if step in (Step.CREATE, Step.REPLACE):
                spec = plan.with_defaults(plan.with_found(spec, found))
            await self._do(step, scope, spec, found, report)
        return workspace_of(await self._engine.inspect(place)), step

    async def list(self, scope: Scope) -> tuple[Workspace, ...]:
        """The chat's container workspaces, oldest first; foreign objects with copied labels are left out."""
        labels = {
            naming.INSTANCE: self._state.instance.id,
            naming.PRINCIPAL: scope.principal,
            naming.CHAT: scope.chat,
            naming.KIND: "container",
        }
        return await self._listed(labels)

    async def list_all(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every container workspace of this instance with its scope, for the operator."""
        labels = {naming.INSTANCE: self._state.instance.id, naming.KIND: "container"}
        found = [c for c in await self._engine.list_containers(labels) if naming.is_ours(self._key, c.name, c.labels)]
        return tuple((naming.scope_of(c.labels), workspace_of(c)) for c in found)

    async def find(self, scope: Scope, name: WorkspaceName) -> Workspace | None:
        """One workspace of the chat, or None when the engine says that there is none."""
        found = await self._found(self.place(scope, name))
        if found is None or not naming.is_ours(self._key, found.name, found.labels):
            return None
        return workspace_of(found)

    def address(self, workspace: Workspace) -> PlaceAddress:
        """How to reach its execd."""
        if workspace.container is None:
            raise NotFoundError("workspace", workspace.name, (), "Call provision_workspace to make one.")
        return delivery.address_in(workspace.container, workspace.place, delivery.binary_path())

    async def remove(self, workspace: Workspace, *, keep_volume: bool) -> str:
        """Remove the container, and its data unless kept; returns the name of the volume that stays ("" if none)."""
        async with self._state.lock(workspace.place):
            # Begun means done: a container without its volume's removal would leave data that nothing lists.
            with anyio.move_on_after(CLEAN_UP_S, shield=True):
                if workspace.container is not None:
                    await self._engine.remove(workspace.container)
                if workspace.volume and not keep_volume:
                    await self._engine.remove_volume(workspace.volume)
        return workspace.volume if keep_volume else ""

    async def remove_data(self, scope: Scope, name: WorkspaceName) -> bool:
        """Remove the data of a workspace whose container is gone; whether there was any."""
        place = self.place(scope, name)
        async with self._state.lock(place):
            try:
                volume = await self._engine.inspect_volume(naming.volume_name(place))
            except EngineNotFoundError:
                return False
            if not naming.is_ours(self._key, volume.name, volume.labels):
                return False
            await self._engine.remove_volume(volume.name)
        return True

    async def _listed(self, labels: dict[str, str]) -> tuple[Workspace, ...]:
        found = await self._engine.list_containers(labels)
        ours = sorted(
            (c for c in found if naming.is_ours(self._key, c.name, c.labels)), key=lambda c: (c.created_at, c.name)
        )
        return tuple(workspace_of(container) for container in ours)

    async def _found(self, place: PlaceId) -> Container | None:
        try:
            return await self._engine.inspect(place)
        except EngineNotFoundError:
            return None

    async def _do(self, step: Step, scope: Scope, spec: WorkspaceSpec, found: Container | None, report: Report) -> None:
        if step is Step.START and found is not None:
            await report("starting the container", 0.6)
            await self._engine.start(found.id)
        elif step in (Step.CREATE, Step.REPLACE):
            if found is not None:
                await self._engine.remove(found.id)
            await self._create(scope, spec, report)

    async def _create(self, scope: Scope, spec: WorkspaceSpec, report: Report) -> None:
        if not spec.image:
            raise InvalidArgumentError(await self._which_image(spec))
        await report("looking at the image", 0.1)
        image = await self._engine.image(spec.image)
        await report("bringing execd to the engine", 0.2)
        program = binary("linux", image.architecture)
        place = self.place(scope, spec.name)
        ground = Ground(
            instance=self._state.instance.id,
            key=self._key,
            scope=scope,
            place=place,
            execd_volume=await delivery.ensure_volume(self._engine, self._state, program),
            mount=delivery.MOUNT,
            binary=delivery.binary_path(),
            socket_directory=delivery.socket_directory(place),
            keep_ended=self._keep_ended,
        )
        made_volume = bool(spec.has_volume) and await self._make_volume(ground, spec.name)
        try:
            await report("creating the container", 0.4)
            await self._build(spec, image, ground, report)
        except BaseException:
            # Also when the caller stopped waiting: a volume without a container would belong to nobody.
            if made_volume:
                with anyio.move_on_after(CLEAN_UP_S, shield=True):
                    await self._forget_volume(naming.volume_name(place))
            raise

    async def _which_image(self, spec: WorkspaceSpec) -> str:
        tags = sorted(tag for image in await self._engine.list_images() for tag in image.tags if tag != EMPTY_IMAGE)
        have = (
            f"the engine has {', '.join(tags[:10])}" if tags else "the engine has none yet (docker pull, docker build)"
        )
        return f"say which image workspace {spec.name!r} is made from; {have}"

    async def _build(self, spec: WorkspaceSpec, image: Image, ground: Ground, report: Report) -> None:
        verifier = naming.verifier_of(naming.secret_of(self._key, ground.place))
        container = await self._engine.create(plan.container_spec(spec, image, ground, verifier))
        try:
            if spec.has_volume:
                volume = naming.volume_name(ground.place)
                await give_to_user(self._engine, container, volume, tier(spec.tier).user or image.user)
            await report("starting the container", 0.6)
            await self._engine.start(container)
        except BaseException:
            with anyio.move_on_after(CLEAN_UP_S, shield=True):
                await self._engine.remove(container)
            raise

    async def _make_volume(self, ground: Ground, workspace: WorkspaceName) -> bool:
        name = naming.volume_name(ground.place)
        labels = naming.labels_of(
            ground.instance, ground.key, kind="volume", name=name, scope=ground.scope, workspace=workspace, more={}
        )
        try:
            volume = await self._engine.inspect_volume(name)
            is_new = False
        except EngineNotFoundError:
            volume = await self._engine.create_volume(name, labels)
            is_new = True
        # Creating returns a volume that exists, whoever made it: it may point anywhere on the host.
        if volume.driver != "local" or volume.options or not naming.is_ours(self._key, name, volume.labels):
            raise EngineConflictError(
                f"a volume with the engine name of workspace {workspace!r} exists that this ws-mcp did not make; "
                "choose another workspace name, or remove that volume by hand"
            )
        return is_new

    async def _forget_volume(self, name: str) -> None:
        try:
            await self._engine.remove_volume(name)
        except WsError:
            # In use: another server's container has it by now, so it belongs to somebody.
            return
