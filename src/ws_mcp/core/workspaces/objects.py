"""The engine objects of a workspace besides its container: made once, verified, filled, removed.

Under a name of ours there may be somebody else's object: it is refused and left alone.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace

from ws_mcp.core.database import Instance
from ws_mcp.core.engine.fill import EMPTY_IMAGE, filler_of
from ws_mcp.core.engine.model import ContainerState, Volume
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, StateError, SubnetTakenError
from ws_mcp.core.ids import ContainerId, PlaceId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import EngineObject, Intent, Ledger, ObjectKind
from ws_mcp.core.workspaces.subnets import subnets_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose an object is."""

    instance: str
    key: bytes
    scope: Scope
    workspace: WorkspaceName

    def labels(self, kind: str, name: str) -> dict[str, str]:
        """The signed labels of an object of this owner."""
        return naming.labels_of(
            self.instance, self.key, kind=kind, name=name, scope=self.scope, workspace=self.workspace, more={}
        )


class Objects:
    """Makes and removes objects, and keeps the intent true: each is in it before it is made."""

    def __init__(self, engine: Engine, ledger: Ledger, intent: Intent, owner: Owner) -> None:
        self._engine = engine
        self._ledger = ledger
        self._intent = intent
        self._owner = owner

    @property
    def made(self) -> tuple[EngineObject, ...]:
        """What did not exist before."""
        return self._intent.objects

    async def begin(self) -> None:
        """Say that something will be made."""
        await self._ledger.begin(self._intent)

    async def doom(self, container: ContainerId) -> None:
        """The container has to go, whatever comes between: no repair takes it for the workspace."""
        with suppress(StateError):  # then it only has to be removed at once
            await self._will_make(EngineObject(kind=ObjectKind.CONTAINER, name=container))

    async def keep(self) -> None:
        """What was made is a workspace's from now on: no repair takes it away."""
        if self._intent.objects:
            self._intent = replace(self._intent, objects=())
            await self._ledger.begin(self._intent)

    async def ensure_volume(self, kind: str, name: str) -> bool:
        """Make the volume be there; whether it is new.

        Raises:
            EngineConflictError: one of this name exists that is not ours, or no plain volume.
        """
        try:
            volume = await self._engine.inspect_volume(name)
            is_new = False
        except EngineNotFoundError:
            await self._will_make(EngineObject(kind=ObjectKind.VOLUME, name=name))
            volume = await self._engine.create_volume(name, self._owner.labels(kind, name))
            is_new = True
        # Creating returns a volume that exists, whoever made it: it may point anywhere on the host.
        if not _is_ours(self._owner.key, volume):
            raise self._not_ours("volume")
        return is_new

    async def ensure_network(self, name: str) -> None:
        """Make the network be there.

        Raises:
            EngineConflictError: one of this name exists that is not ours.
        """
        try:
            network = await self._engine.inspect_network(name)
        except EngineNotFoundError:
            await self._will_make(EngineObject(kind=ObjectKind.NETWORK, name=name))
            await self._create_network(name)
            return
        if not naming.is_ours(self._owner.key, name, network.labels):
            raise self._not_ours("network")

    async def _create_network(self, name: str) -> None:
        labels = self._owner.labels("network", name)
        taken: SubnetTakenError | None = None
        for subnet in subnets_of(name):
            try:
                await self._engine.create_network(name, labels, is_internal=False, subnet=subnet)
            except SubnetTakenError as error:
                taken = error
            else:
                return
        raise EngineConflictError(
            "no address range is free for the network of this workspace: remove workspaces that are not needed"
        ) from taken

    async def _will_make(self, what: EngineObject) -> None:
        self._intent = replace(self._intent, objects=(*self._intent.objects, what))
        await self._ledger.begin(self._intent)

    def _not_ours(self, kind: str) -> EngineConflictError:
        return EngineConflictError(
            f"a {kind} with the engine name of workspace {self._owner.workspace!r} exists that this ws-mcp did not "
            f"make; choose another workspace name, or remove that {kind} by hand"
        )


async def data_of(engine: Engine, instance: Instance) -> tuple[tuple[Scope, WorkspaceName], ...]:
    """Whose data there is on an engine, also that of removed workspaces."""
    wanted = {naming.INSTANCE: instance.id, naming.KIND: "volume"}
    return tuple(
        (naming.scope_of(volume.labels), WorkspaceName(volume.labels[naming.WORKSPACE]))
        for volume in await engine.list_volumes(wanted)
        if naming.is_ours(instance.key, volume.name, volume.labels)
    )


async def remove_object(engine: Engine, key: bytes, what: EngineObject) -> bool:
    """Remove one object of ours; what is gone already is no error, and what is not ours is left alone.

    Returns whether there was one.

    Raises:
        EngineConflictError: something has it.
    """
    is_ours = False
    try:
        if what.kind is ObjectKind.NETWORK:
            if is_ours := naming.is_ours(key, what.name, (await engine.inspect_network(what.name)).labels):
                await engine.remove_network(what.name)
        elif is_ours := _is_ours(key, await engine.inspect_volume(what.name)):
            await remove_unstarted(engine, filler_of(what.name))
            await engine.remove_volume(what.name)
    except EngineNotFoundError:
        pass
    return is_ours


def _is_ours(key: bytes, volume: Volume) -> bool:
    """Labels alone do not say so: whoever reads those of a volume can put them on one of another kind."""
    return volume.driver == "local" and not volume.options and naming.is_ours(key, volume.name, volume.labels)


async def remove_unused(engine: Engine, key: bytes, objects: tuple[EngineObject, ...]) -> tuple[EngineObject, ...]:
    """Remove objects, the last made first. What another workspace has by now belongs to that; returns what stayed."""
    stayed: list[EngineObject] = []
    for what in reversed(objects):
        try:
            if await _is_shared_with_others(engine, what):
                continue
            await remove_object(engine, key, what)
        except EngineConflictError as error:
            log.info("%s %s stays, since it is in use: %s", what.kind, what.name, error)
            stayed.append(what)
    return tuple(stayed)


async def _is_shared_with_others(engine: Engine, what: EngineObject) -> bool:
    """Whether it is a network that another container is in, perhaps one that is stopped: Docker gives those away."""
    if what.kind is not ObjectKind.NETWORK or not naming.is_shared_name(what.name):
        return False
    return any(each.network == what.name for each in await engine.list_containers({naming.KIND: "container"}))


def own_network(place: PlaceId) -> EngineObject:
    """The network that a workspace has for itself, unless it is in another one."""
    return EngineObject(kind=ObjectKind.NETWORK, name=naming.own_network_name(place))


async def remove_unstarted(engine: Engine, name: str) -> None:
    """Remove a container that a dead server moved files through."""
    try:
        found = await engine.inspect(name)
    except EngineNotFoundError:
        return
    if found.image.endswith(EMPTY_IMAGE) and found.state is ContainerState.CREATED:
        await engine.remove(found.id)


async def forget_configs(engine: Engine, key: bytes, place: PlaceId, kept: str) -> None:
    """Remove the configuration volumes of a workspace but the one that it has."""
    prefix = naming.configs_name(place, "")
    for volume in await engine.list_volumes({naming.KIND: "configs"}):
        if volume.name.startswith(prefix) and volume.name != kept:
            await remove_unused(engine, key, (EngineObject(kind=ObjectKind.VOLUME, name=volume.name),))
