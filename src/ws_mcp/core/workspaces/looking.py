"""Looks at one workspace: what the engine has, what was recorded, what is wished for, and how that differs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ws_mcp.core.engine.model import Container, ContainerSpec, Image, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineNotFoundError, ImageNotFoundError
from ws_mcp.core.execd import delivery
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.host.model import HostFolder
from ws_mcp.core.ids import PlaceId, Scope
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.binds import Binds, binds_of
from ws_mcp.core.workspaces.checks import check_recipe, check_spec
from ws_mcp.core.workspaces.contents import Contents, contents_of
from ws_mcp.core.workspaces.drift import drift
from ws_mcp.core.workspaces.model import WorkspaceSpec
from ws_mcp.core.workspaces.plan import check_ours
from ws_mcp.core.workspaces.recipe import Recipe, changes, recipe_of, recorded_of
from ws_mcp.core.workspaces.request import Ground, container_spec
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.tiers import Tier

HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything about one workspace at one moment. `image` is None where the engine does not have it."""

    scope: Scope
    spec: WorkspaceSpec
    place: PlaceId
    found: Container | None
    recipe: Recipe
    level: Tier
    image: Image | None
    ground: Ground
    contents: Contents
    folder: HostFolder | None
    asked: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    def request(self, image: Image) -> ContainerSpec:
        """What the engine is told to make it."""
        return container_spec(self.recipe, image, self.level, self.ground)


class Looking:
    """Makes looks. Nothing is changed by it."""

    def __init__(self, engine: Engine, state: State, rules: WorkspaceRules) -> None:
        self._engine = engine
        self._state = state
        self._rules = rules

    async def container(self, name: str) -> Container | None:
        """The container of this name or id, or None when the engine says that there is none."""
        try:
            return await self._engine.inspect(name)
        except EngineNotFoundError:
            return None

    async def at(self, scope: Scope, spec: WorkspaceSpec) -> Look:
        """Look at the workspace that `spec` names.

        Raises:
            ConflictError: somebody else's container has its name.
            InvalidArgumentError, ForbiddenError: what is wished for cannot be.
        """
        check_spec(spec)
        place = naming.place_name(self._state.instance.id, scope, spec.name)
        found = await self.container(place)
        if found is not None:
            check_ours(spec.name, self._state.instance.key, found)
        recorded = recorded_of(found) if found is not None else None
        contents = await contents_of(spec, recorded, self._rules, self._state.instance.key)
        recipe = recipe_of(spec, recorded, self._rules, contents.digests)
        level = replace(self._rules.level(recipe.tier), sizes=self._rules.sizes_of(recipe.tier, recipe.sizes))
        check_recipe(recipe, level)
        binds = await binds_of(recipe, level, self._rules, self._engine, self._state.directory)
        image = await self._image(recipe, found)
        look = Look(
            scope=scope,
            spec=spec,
            place=place,
            found=found,
            recipe=recipe,
            level=level,
            image=image,
            ground=self._ground(scope, spec, place, found, recipe, binds, image),
            contents=contents,
            folder=binds.folder,
            asked=changes(recorded, recipe) if recorded is not None else (),
            reasons=(),
            notes=binds.notes,
        )
        return replace(look, reasons=_reasons(look)) if found is not None else look

    async def _image(self, recipe: Recipe, found: Container | None) -> Image | None:
        if not recipe.image:
            return None
        for name in (recipe.image, found.image_id if found is not None else ""):
            try:
                return await self._engine.image(name) if name else None
            except ImageNotFoundError:
                continue
        return None

    def _ground(
        self,
        scope: Scope,
        spec: WorkspaceSpec,
        place: PlaceId,
        found: Container | None,
        recipe: Recipe,
        binds: Binds,
        image: Image | None,
    ) -> Ground:
        instance = self._state.instance
        return Ground(
            instance=instance.id,
            key=instance.key,
            scope=scope,
            workspace=spec.name,
            place=place,
            execd_volume=_execd_volume(instance.id, found, image),
            mount=delivery.MOUNT,
            binary=delivery.binary_path(),
            socket_directory=delivery.socket_directory(place),
            keep_ended=_keep_ended(found, self._rules.keep_ended),
            network=naming.network_name(instance.id, scope, place, recipe.network),
            binds=binds.mounts,
            bind_environment=binds.environment,
            engine_socket=binds.engine_socket,
            runtime=self._rules.container_runtime,
        )


def request_of(look: Look) -> ContainerSpec:
    """What the engine would be told, without secrets: for showing."""
    image = look.image or Image(id="", tags=(), architecture="")
    request = look.request(image)
    shown = {name: HIDDEN if name in look.recipe.environment else value for name, value in request.environment.items()}
    return replace(request, environment={**shown, delivery.VERIFIER: HIDDEN})


def _reasons(look: Look) -> tuple[str, ...]:
    if look.found is None or look.image is None:
        return look.asked
    reasons = drift(look.request(look.image), look.found, look.image)
    # What was asked for is said in the caller's words; the rest is what the engine shows beside it.
    return (*look.asked, *(reason for reason in reasons if not look.asked or not reason.startswith("labels differ")))


def _execd_volume(instance: str, found: Container | None, image: Image | None) -> str:
    """The one that a container has stays: another version of execd comes with the next container."""
    if found is not None:
        for mount in found.mounts:
            if isinstance(mount, VolumeMount) and mount.target == delivery.MOUNT:
                if mount.volume.startswith(delivery.volume_prefix(instance)) and mount.is_read_only:
                    return mount.volume
    architecture = image.architecture if image is not None else ""
    return delivery.volume_name(instance, binary("linux", architecture)) if architecture else ""


def _keep_ended(found: Container | None, otherwise: int) -> int:
    """As it was made: servers with other settings must not take turns in making it anew."""
    words = found.entrypoint if found is not None else ()
    for flag, value in zip(words, words[1:], strict=False):
        if flag == "--keep-ended" and value.isdecimal():
            return int(value)
    return otherwise
