"""Makes a container workspace: its objects, its container, and the swap with the one before it.

The container before it is removed only when the new one answers; until then it can be taken back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import anyio

from ws_mcp.core.engine.fill import fill_volume
from ws_mcp.core.engine.model import Container, ContainerState, Image
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import ConflictError, ImageNotFoundError, InvalidArgumentError, WsError
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.execd.delivery import ExecdVolumes
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.state import State
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.contents import configs_archive, home_archive
from ws_mcp.core.workspaces.found import workspace_of
from ws_mcp.core.workspaces.image_choice import check_made_from, which_image
from ws_mcp.core.workspaces.inside import Inside
from ws_mcp.core.workspaces.ledger import Intent, IntentKind, Ledger, secret_bytes
from ws_mcp.core.workspaces.looking import Look
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.objects import Objects, Owner, forget_configs, own_network, remove_unused
from ws_mcp.core.workspaces.owner import account_of, give_to
from ws_mcp.core.workspaces.plan import Step
from ws_mcp.core.workspaces.recipe import HOST, NONE, configs_digest
from ws_mcp.core.workspaces.rules import WorkspaceRules

log = logging.getLogger(__name__)

Report = Callable[[str, float], Awaitable[None]]
"""Called with the phase (words) and the fraction done (0 to 1)."""
Repair = Callable[[PlaceId], Awaitable[bool]]
"""Undoes what the ledger says was begun for a place."""

CLEAN_UP_S = 60.0
STOP_GRACE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a builder works with."""

    engine: Engine
    state: State
    ledger: Ledger
    inside: Inside
    repair: Repair
    execd: ExecdVolumes
    turns: anyio.Semaphore


class Builder:
    """One provision of one workspace, under its lock."""

    def __init__(self, means: Means, look: Look, lock: Lock) -> None:
        self._lock = lock
        self._engine = means.engine
        self._state = means.state
        self._ledger = means.ledger
        self._inside = means.inside
        self._repair = means.repair
        self._execd = means.execd
        self._turns = means.turns
        self._look = look
        self._made: ContainerId | None = None
        self._secrets_before: Mapping[str, bytes] | None = None
        self._has_new_volume = False
        owner = Owner(instance=look.instance.id, key=look.instance.key, scope=look.scope, workspace=look.spec.name)
        intent = Intent(place=look.place, kind=IntentKind.PROVISION, objects=())
        self._objects = Objects(self._engine, self._ledger, intent, owner)

    async def do(self, step: Step, rules: WorkspaceRules, report: Report) -> Workspace:
        """Do the step; afterwards the workspace answers, or all is as it was.

        Raises:
            ImageNotFoundError, InvalidArgumentError, EngineConflictError, PlaceUnavailableError
        """
        found = self._look.found
        if step is Step.NOTHING and found is not None:
            return await self._prepared(found, is_fresh=False)
        if step is Step.GO_ON and found is not None:
            await self._engine.unpause(found.id)
            return await self._prepared(await self._engine.inspect(found.id), is_fresh=False)
        if step is Step.START and found is not None:
            await report("waiting for its turn", 0.5)
            async with self._turns:
                return await self._started(found, report)
        # A pull may take minutes: nobody waits for that one's turn.
        image = await self._usable_image(rules, report)
        await report("waiting for its turn", 0.3)
        async with self._turns:
            return await self._made_whole(image, rules, report)

    async def _started(self, found: Container, report: Report) -> Workspace:
        await report("starting the container", 0.6)
        await self._engine.start(found.id)
        return await self._prepared(await self._engine.inspect(found.id), is_fresh=True)

    async def _made_whole(self, image: Image, rules: WorkspaceRules, report: Report) -> Workspace:
        await self._objects.begin()
        try:
            return await self._make(image, rules, report)
        except BaseException:
            # Also when the caller stopped waiting: what is half-made would belong to nobody.
            with self._lock.shield(CLEAN_UP_S):
                await self._roll_back()
            raise

    async def _roll_back(self) -> None:
        try:
            await self._lock.check()  # otherwise another server is at it: what is half-made is its to repair
            if self._made is not None:
                await self._objects.doom(self._made)
                if self._secrets_before is not None:
                    await self._ledger.keep_secrets(self._look.place, self._secrets_before)
                await self._engine.remove(self._made)
            await self._repair(self._look.place)
        except WsError as error:
            log.warning("%s is left half-made until the engine answers: %s", self._look.place, error)

    async def _usable_image(self, rules: WorkspaceRules, report: Report) -> Image:
        recipe = self._look.recipe
        if not recipe.image:
            raise InvalidArgumentError(await which_image(self._engine, self._look.spec.name, rules))
        await report("looking at the image", 0.1)
        # With a container there, the look may have found the image of that one, which has lost its name.
        image = self._look.image if self._look.found is None else None
        if image is None:
            image = await self._named_image(rules, report)
        wanted = recipe.platform.partition("/")[2].partition("/")[0]
        if wanted and image.architecture != wanted:
            if not rules.may_pull:
                raise ConflictError(
                    f"image {recipe.image} on the engine is for {image.architecture}, not {recipe.platform}; pull it "
                    f"with docker pull --platform {recipe.platform} {recipe.image}, or leave `platform` out"
                )
            image = await self._pulled(report)
        rules.check_image(recipe.image, image)  # a pull may have brought another one than the name stood for
        return image

    async def _named_image(self, rules: WorkspaceRules, report: Report) -> Image:
        try:
            return await self._engine.image(self._look.recipe.image)
        except ImageNotFoundError:
            if not rules.may_pull:
                raise
            return await self._pulled(report)

    async def _pulled(self, report: Report) -> Image:
        async def told(phase: str, fraction: float) -> None:
            await report(phase, 0.1 + 0.2 * fraction)

        await self._engine.pull(self._look.recipe.image, self._look.recipe.platform, told)
        return await self._engine.image(self._look.recipe.image)

    async def _make(self, image: Image, rules: WorkspaceRules, report: Report) -> Workspace:
        await report("bringing execd to the engine", 0.3)
        volume = await self._execd.ensure(binary("linux", image.architecture))
        look = self._look = replace(self._look, execd_volume=volume, keep_ended=rules.keep_ended)
        await report("making its network and volumes", 0.4)
        if look.recipe.network not in (NONE, HOST):
            await self._objects.ensure_network(look.network)
        if look.recipe.has_volume:
            self._has_new_volume = await self._objects.ensure_volume("volume", naming.volume_name(look.place))
        await self._fill_configs()
        await report("creating the container", 0.5)
        container = await self._created(image)
        await check_made_from(self._engine, container, image, rules)
        return await self._swapped_in(container, report)

    async def _fill_configs(self) -> None:
        look, digest = self._look, configs_digest(self._look.recipe)
        if not digest:
            return
        name = naming.configs_name(look.place, digest)
        if await self._objects.ensure_volume("configs", name):
            await fill_volume(self._engine, name, await configs_archive(look.contents, self._engine, look.found))

    async def _created(self, image: Image) -> ContainerId:
        look = self._look
        request = look.request(image)
        name = request.name if look.found is None else naming.incoming_name(look.place)
        self._made = container = await self._engine.create(replace(request, name=name))
        account = await account_of(self._engine, container, request.user or image.user)
        # A new one gets the owner that the image's directory has, which root (tier 1 never is) can write in any case;
        # one with files may have been another user's: each image has its own numbers for names.
        before = look.found and (look.found.user, look.found.image_id)
        is_other_user = before != (request.user or image.user, image.id)
        if look.recipe.has_volume and (account.uid if self._has_new_volume else is_other_user):
            await give_to(self._engine, naming.volume_name(look.place), account)
        if look.contents.home:
            home = request.environment.get("HOME") or account.home
            await self._engine.put_archive(container, "/", await home_archive(look.contents, account, home))
        return container

    async def _swapped_in(self, container: ContainerId, report: Report) -> Workspace:
        look, old = self._look, self._look.found
        if old is not None:
            await report("setting the container before it aside", 0.6)
            await self._set_aside(old, container)
        if look.contents.secrets is not None:
            self._secrets_before = await self._ledger.secrets(look.place)
            await self._ledger.keep_secrets(look.place, secret_bytes(look.contents.secrets))
        await report("starting the container", 0.7)
        await self._engine.start(container)
        await report("waiting for execd", 0.9)
        workspace = await self._prepared(await self._engine.inspect(container), is_fresh=True)
        self._made = None  # from here on it is the workspace: nothing takes it back
        with self._lock.shield(CLEAN_UP_S):
            await self._forget(old)
        return workspace

    async def _forget(self, old: Container | None) -> None:
        """What the container before it leaves; what cannot be removed now is removed when its intent is repaired."""
        try:
            await self._objects.keep()
            if old is not None:
                await self._engine.remove(old.id)
            await self._forget_unused()  # also of a container that somebody removed behind our back
            await self._ledger.end(self._look.place)
        except WsError as error:
            log.warning("what %s had before stays until the engine answers: %s", self._look.place, error)

    async def _set_aside(self, old: Container, container: ContainerId) -> None:
        if old.state is not ContainerState.CREATED:
            await self._engine.stop(old.id, STOP_GRACE_S)
        await self._engine.rename(old.id, naming.outgoing_name(self._look.place))
        await self._engine.rename(container, self._look.place)

    async def _prepared(self, found: Container, *, is_fresh: bool) -> Workspace:
        workspace = workspace_of(found, self._look.site)
        await self._inside.prepare(workspace, folder=self._look.binds.folder, is_fresh=is_fresh)
        return workspace

    async def _forget_unused(self) -> None:
        place, digest, key = self._look.place, configs_digest(self._look.recipe), self._state.instance.key
        kept = naming.configs_name(place, digest) if digest else ""
        await forget_configs(self._engine, key, place, kept)
        if self._look.network != naming.own_network_name(place) or self._look.recipe.network in (NONE, HOST):
            await remove_unused(self._engine, key, (own_network(place),))
