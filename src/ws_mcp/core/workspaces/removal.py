"""Takes container workspaces away, whole, and puts right what a server that died left half-made or half-removed."""

from __future__ import annotations

import logging

from ws_mcp.core.engine.fill import filler_of
from ws_mcp.core.engine.model import Container, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    WsError,
)
from ws_mcp.core.execd import delivery
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import EngineObject, Intent, IntentKind, Ledger, ObjectKind
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.objects import own_network, remove_object, remove_unstarted, remove_unused
from ws_mcp.core.workspaces.recovery import Act, plan_repair
from ws_mcp.core.workspaces.site import ONLY, Site

log = logging.getLogger(__name__)

CLEAN_UP_S = 60.0


class Removal:
    """Removes and repairs the workspaces of one instance on one engine."""

    def __init__(
        self, engine: Engine, state: State, ledger: Ledger, clean_up_s: float = CLEAN_UP_S, site: Site = ONLY
    ) -> None:
        self._clean_up_s = clean_up_s
        self._site = site
        self._engine = engine
        self._state = state
        self._ledger = ledger
        self._key = state.instance.key

    async def remove(self, workspace: Workspace, *, keep_volume: bool) -> str:
        """Remove a workspace; returns the name of the volume that stays ("" if none)."""
        place = workspace.place
        async with self._state.lock(place) as lock:
            await self.repair(place)
            found = await self._found(place)
            objects = await self._belongings(place, found)
            if not keep_volume:
                # Also one that is not mounted now: a folder may have taken its place.
                objects = (*objects, EngineObject(kind=ObjectKind.VOLUME, name=naming.volume_name(place)))
            # Begun means done: a container without its volume's removal would leave data that nothing lists.
            with lock.shield(self._clean_up_s) as patience:
                meant = () if found is None else (_container(found),)
                await self._ledger.begin(Intent(place=place, kind=IntentKind.REMOVE, objects=(*meant, *objects)))
                await self._remove_container(place, found)
                await lock.check()
                stayed = await self._finish(place, objects)
                if not keep_volume and any(each.name == naming.volume_name(place) for each in stayed):
                    raise EngineConflictError(
                        f"workspace {workspace.name!r} was removed, but its data was not: something else uses volume "
                        f"{naming.volume_name(place)}; remove that, then call again"
                    )
            if patience.cancelled_caught and not lock.is_lost:
                raise EngineTimeoutError(
                    f"workspace {workspace.name!r} could not be removed within {self._clean_up_s:g} s; what is left "
                    "of it is removed as soon as the engine answers: look with list_containers, or call again"
                )
        return workspace.volume if keep_volume else ""

    async def remove_data(self, place: PlaceId) -> bool:
        """Remove the data of a workspace whose container is gone, and its secrets; whether there was any data."""
        async with self._state.lock(place):
            await self.repair(place)
            data = EngineObject(kind=ObjectKind.VOLUME, name=naming.volume_name(place))
            had_any = await remove_object(self._engine, self._key, data)
            if await self._found(place) is None:
                await self._ledger.forget(place)
        return had_any

    async def settled(self, place: PlaceId) -> Container | None:
        """The container of a place, under its lock, once what a server had begun is put right."""
        await self.repair(place)
        return await self._found(place)

    async def repair(self, place: PlaceId) -> bool:
        """Finish or undo what a server that died had begun, under the place's lock; whether there was anything."""
        intent = await self._ledger.intent(place)
        if intent is None:
            return False
        log.info("a %s of %s was cut short: putting it right", intent.kind, place)
        if intent.kind is IntentKind.REMOVE:
            await self._go_on(intent)
            return True
        for doomed in intent.containers:
            await self._engine.remove(doomed)
        await self._undo(place, intent.belongings)
        await self._ledger.end(place)
        return True

    async def repair_all(self) -> int:
        """Repair every place whose server died; returns how many. Nothing follows from a state that is damaged."""
        repaired, intents = 0, await self._ledger.intents()
        if self._state.damage or (intents and not await self._was_here()):
            return 0
        for intent in intents:
            async with self._state.lock_if_free(intent.place) as is_held:
                if not is_held:
                    continue  # its server lives and is at it
                try:
                    if await self._site.is_mine(intent.place):
                        repaired += await self.repair(intent.place)
                except WsError as error:
                    log.warning("what a server left of %s cannot be put right now: %s", intent.place, error)
        return repaired

    async def _was_here(self) -> bool:
        """Whether this engine has had workspaces of ours, or none has: what is on another one cannot be seen here."""
        return bool(self._site.node or not await self._state.has_fills() or await self._execd_volumes())

    async def _execd_volumes(self) -> list[str]:
        """The names of those that an engine gets with its first workspace."""
        instance = self._state.instance.id
        volumes = await self._engine.list_volumes({delivery.LABEL: instance})
        return [volume.name for volume in volumes if volume.name.startswith(delivery.volume_prefix(instance))]

    async def _go_on(self, intent: Intent) -> None:
        """Finish a removal, unless the workspace was made anew since: a power cut takes the last writes of a state."""
        found = await self._found(intent.place)
        if found is not None and _container(found) not in intent.objects:
            log.warning("the removal of %s was over before: it was made anew since, and stays", intent.place)
            await self._ledger.end(intent.place)
            return
        if found is not None:
            await self._engine.remove(found.id)
        await self._finish(intent.place, intent.belongings)

    async def _undo(self, place: PlaceId, made: tuple[EngineObject, ...]) -> None:
        names = (place, naming.incoming_name(place), naming.outgoing_name(place))
        current, incoming, outgoing = [await self._found(name, place) for name in names]
        plan = plan_repair(current, incoming, outgoing)
        for act, container in plan.acts:
            if act is Act.REMOVE:
                await self._engine.remove(container.id)
            elif act is Act.TAKE_BACK:
                await self._engine.rename(container.id, place)
            else:
                await self._start(container)
        if not plan.is_whole:
            await self._ledger.forget(place)
        used = await self._used(place) if plan.is_whole else set[str]()
        others = [each for each in (own_network(place), *await self._configs(place)) if each not in made]
        left = [each for each in (*others, *made) if each.name not in used]
        await remove_unused(self._engine, self._key, tuple(left))
        await self._forget_execd_filler()

    async def _start(self, container: Container) -> None:
        try:
            await self._engine.start(container.id)
        except (EngineTimeoutError, EngineUnavailableError):
            raise
        except EngineError as error:
            # It is whole all the same; as one that stopped it can be made anew, or removed.
            log.warning("%s could not be started again: %s", container.name, error)

    async def _used(self, place: PlaceId) -> set[str]:
        """The names of the volumes and the network that the workspace's container has."""
        found = await self._engine.inspect(place)
        return {found.network, *(mount.volume for mount in found.mounts if isinstance(mount, VolumeMount))}

    async def _forget_execd_filler(self) -> None:
        """The container through which the dead server brought execd to the engine, unless another is at it."""
        for name in await self._execd_volumes():
            async with self._state.lock_if_free(self._site.lock_of(name)) as is_held:
                if is_held:
                    await remove_unstarted(self._engine, filler_of(name))

    async def _remove_container(self, place: PlaceId, found: Container | None) -> None:
        if found is None:
            return
        try:
            await self._engine.remove(found.id)
        except WsError:
            # Nothing was removed: its data must not be removed later, when nobody remembers this call.
            await self._ledger.end(place)
            raise

    async def _finish(self, place: PlaceId, objects: tuple[EngineObject, ...]) -> tuple[EngineObject, ...]:
        await remove_unstarted(self._engine, naming.reader_name(place))
        stayed = await remove_unused(self._engine, self._key, objects)
        await self._ledger.forget(place)
        await self._ledger.end(place)
        return stayed

    async def _belongings(self, place: PlaceId, found: Container | None) -> tuple[EngineObject, ...]:
        """Its networks and configuration: all that has no worth without it."""
        networks = [name for name in (found.networks if found else ()) if name.startswith("wsmcp-")]
        own = found.network if found is not None and found.network.startswith("wsmcp-") else ""
        names = dict.fromkeys((*networks, own, naming.own_network_name(place)))
        return (
            *(EngineObject(kind=ObjectKind.NETWORK, name=name) for name in names if name),
            *await self._configs(place),
        )

    async def _configs(self, place: PlaceId) -> tuple[EngineObject, ...]:
        volumes = await self._engine.list_volumes({naming.INSTANCE: self._state.instance.id, naming.KIND: "configs"})
        names = (volume.name for volume in volumes if volume.name.startswith(naming.configs_name(place, "")))
        return tuple(EngineObject(kind=ObjectKind.VOLUME, name=name) for name in names)

    async def _found(self, name: str, place: PlaceId | None = None) -> Container | None:
        try:
            found = await self._engine.inspect(name)
        except EngineNotFoundError:
            return None
        # While it is swapped it carries the signature for the name that it is to have, or had.
        return found if naming.is_ours(self._key, place or name, found.labels) else None


def _container(found: Container) -> EngineObject:
    return EngineObject(kind=ObjectKind.CONTAINER, name=found.id)
