"""Looks at one workspace: what the engine has, what was recorded, what is wished for, and how that differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from ws_mcp.core.database import Instance
from ws_mcp.core.engine.model import Container, ContainerSpec, Image, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineNotFoundError, ImageNotFoundError
from ws_mcp.core.execd import delivery
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.ids import PlaceId, Scope
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.binds import Binds, binds_of
from ws_mcp.core.workspaces.checks import check_recipe, check_spec
from ws_mcp.core.workspaces.contents import Contents, check_required, contents_of
from ws_mcp.core.workspaces.drift import LABELS_DIFFER, drift
from ws_mcp.core.workspaces.model import Sizes, WorkspaceSpec
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.plan import check_ours
from ws_mcp.core.workspaces.recipe import Recipe, asked_changes, outside_changes, recipe_of, recorded_of
from ws_mcp.core.workspaces.request import Ground, container_spec
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.site import ONLY, Site
from ws_mcp.core.workspaces.tiers import Tier

HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything about one workspace at one moment. `image` is None where the engine does not have it."""

    instance: Instance
    scope: Scope
    spec: WorkspaceSpec
    place: PlaceId
    found: Container | None
    recipe: Recipe
    level: Tier
    image: Image | None
    binds: Binds
    contents: Contents
    execd_volume: str
    keep_ended: int
    runtime: str
    site: Site = ONLY
    asked: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def request(self, image: Image) -> ContainerSpec:
        """What the engine is told to make it."""
        return container_spec(self.recipe, image, self.level, self.ground)

    @property
    def network(self) -> str:
        """The engine's name of its network."""
        return naming.network_name(self.instance.id, self.scope, self.place, self.recipe.network)

    @property
    def ground(self) -> Ground:
        """What its container is built on."""
        return Ground(
            instance=self.instance.id,
            key=self.instance.key,
            scope=self.scope,
            workspace=self.spec.name,
            place=self.place,
            execd_volume=self.execd_volume,
            mount=delivery.MOUNT,
            binary=delivery.binary_path(),
            socket_directory=delivery.socket_directory(self.place),
            keep_ended=self.keep_ended,
            network=self.network,
            binds=self.binds.mounts,
            bind_environment=self.binds.environment,
            engine_socket=self.binds.engine_socket,
            runtime=self.runtime,
            host_ip=self.site.address,
        )


class Looking:
    """Makes looks. Nothing is changed by it."""

    def __init__(self, engine: Engine, state: State, site: Site = ONLY) -> None:
        self._engine = engine
        self._site = site
        self._state = state
        self._cpus: int | None = None

    async def container(self, name: str) -> Container | None:
        """The container of this name or id, or None when the engine says that there is none."""
        try:
            return await self._engine.inspect(name)
        except EngineNotFoundError:
            return None

    async def at(self, scope: Scope, spec: WorkspaceSpec, rules: WorkspaceRules) -> Look:
        """Look at the workspace that `spec` names, as far as `rules` let its principal.

        Raises:
            ConflictError: somebody else's container has its name.
            InvalidArgumentError, ForbiddenError: what is wished for cannot be.
        """
        check_spec(spec)
        if spec.tier:
            rules.level(spec.tier)  # refused before the engine is asked anything
        rules.check_name(spec.image)
        place = naming.place_name(self._state.instance.id, scope, spec.name)
        found = await self.container(place)
        if found is not None:
            check_ours(spec.name, self._state.instance.key, found)
        recorded = recorded_of(found) if found is not None else None
        contents = await contents_of(spec, recorded, rules, self._state.instance.key)
        recipe = recipe_of(spec, recorded, rules, contents.digests)
        level = replace(rules.level(recipe.tier), sizes=await self._sizes(recipe, rules))
        check_recipe(recipe, level)
        _check_granted(recipe, rules)
        check_required(spec.content.required, contents)
        binds = await binds_of(recipe, level, rules, self._engine, (self._state.directory, *rules.closed))
        image = await self._image(recipe, found, rules)
        look = Look(
            instance=self._state.instance,
            scope=scope,
            spec=spec,
            place=place,
            found=found,
            recipe=recipe,
            level=level,
            image=image,
            binds=binds,
            contents=contents,
            execd_volume=_execd_volume(self._state.instance.id, found, image),
            keep_ended=_keep_ended(found, rules.keep_ended),
            runtime=rules.container_runtime,
            site=self._site,
        )
        return _compared(look, recorded) if found is not None else look

    async def _sizes(self, recipe: Recipe, rules: WorkspaceRules) -> Sizes:
        sizes = rules.sizes_of(recipe.tier, recipe.sizes)
        if recipe.sizes.cpus or sizes.cpus <= 1:
            return sizes
        # Nobody asked for the tier's number, and an engine with fewer refuses it.
        if self._cpus is None:
            self._cpus = (await self._engine.info()).cpus
        return replace(sizes, cpus=min(sizes.cpus, self._cpus)) if self._cpus else sizes

    async def _image(self, recipe: Recipe, found: Container | None, rules: WorkspaceRules) -> Image | None:
        """The image that the name means now; where it means none any more, the one that the container was made from."""
        for name in filter(None, (recipe.image, found.image_id if found is not None and recipe.image else "")):
            try:
                image = await self._engine.image(name)
            except ImageNotFoundError:
                continue
            rules.check_image(recipe.image, image, is_named=name == recipe.image)
            return image
        return None


def request_of(look: Look) -> ContainerSpec:
    """What the engine would be told, without secrets: for showing."""
    image = look.image or Image(id="", tags=(), architecture="")
    request = look.request(image)
    shown = {name: HIDDEN if name in look.recipe.environment else value for name, value in request.environment.items()}
    return replace(request, environment={**shown, delivery.VERIFIER: HIDDEN})


def _check_granted(recipe: Recipe, rules: WorkspaceRules) -> None:
    """Once more for the whole wish: it may be from a time in which more was granted, or a default."""
    rules.check_name(recipe.image)
    if recipe.folder:
        rules.check_folder(recipe.access)
    elif recipe.mounts:
        rules.check_folder(Access.READ_ONLY)


def _compared(look: Look, recorded: Recipe | None) -> Look:
    """The look with every reason why what was found is not what is wished for."""
    found, image = look.found, look.image
    if recorded is None or found is None:
        return replace(look, reasons=("how it was made is not legible",))
    asked, outside = asked_changes(recorded, look.recipe), outside_changes(recorded, look.recipe)
    if asked or image is None:
        # What the engine would show beside that follows from it, and would only say the same in its own words.
        return replace(look, asked=asked, reasons=(*asked, *outside))
    # A configuration that changed is mounted from another volume: that is said already.
    drifts = [reason for reason in drift(look.request(image), found, image) if not (outside and "mounted" in reason)]
    labels = [reason for reason in drifts if reason != LABELS_DIFFER or not outside]
    return replace(look, reasons=(*outside, *labels))


def _execd_volume(instance: str, found: Container | None, image: Image | None) -> str:
    """The one that a container has stays: another version of execd comes with the next container."""
    if found is not None:
        prefix = delivery.volume_prefix(instance)
        volumes = [mount for mount in found.mounts if isinstance(mount, VolumeMount) and mount.is_read_only]
        own = [each.volume for each in volumes if each.target == delivery.MOUNT and each.volume.startswith(prefix)]
        if own:
            return own[0]
    architecture = image.architecture if image is not None else ""
    return delivery.volume_name(instance, binary("linux", architecture)) if architecture else ""


def _keep_ended(found: Container | None, otherwise: int) -> int:
    """As it was made: servers with other settings must not take turns in making it anew."""
    words = found.entrypoint if found is not None else ()
    for flag, value in pairwise(words):
        if flag == "--keep-ended" and value.isdecimal():
            return int(value)
    return otherwise
