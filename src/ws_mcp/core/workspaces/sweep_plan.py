"""Which engine objects of an instance belong to nobody any more (pure).

An object counts only with our signature for its very name. What a server is at (an intent) is left alone, and so is all
that a container which stays could use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ws_mcp.core.engine.fill import EMPTY_IMAGE, filler_of
from ws_mcp.core.engine.model import Container, ContainerState, Network, Volume, VolumeMount
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.recipe import recorded_of

UNKNOWN_CHAT = "its chat is not known to the state directory"
NEVER_STARTED = "it was created and never started"
DEAD_FILLER = "a server that died moved files through it"
NO_CONTAINER = "its workspace has no container"
OTHER_NETWORK = "its workspace is in another network"
NOT_SHARED = "no container of the chat is in it"
KEPT_DATA = "it was kept when its workspace went"

# What labels say that an object is: those of a volume do not make a container ours.
CONTAINERS, VOLUMES, NETWORKS = ("container",), ("volume", "configs"), ("network",)


class LeftoverKind(StrEnum):
    """What it is; in the order in which they can be removed."""

    CONTAINER = "container"
    VOLUME = "volume"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An object that belongs to nobody. `is_data`: what a person may want back. `created_at`: None where unknown."""

    kind: LeftoverKind
    name: str
    place: PlaceId
    workspace: WorkspaceName
    why: str
    container: ContainerId | None = None
    created_at: datetime | None = None
    is_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything on the engine and in the state directory, whole. Containers in state "created" are fully inspected."""

    instance: str
    key: bytes
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]
    networks: tuple[Network, ...]
    intents: frozenset[PlaceId]
    chats: frozenset[Scope]


IsDue = Callable[[Leftover], bool]
"""Whether one has been nobody's for long enough."""


def plan_sweep(seen: Seen, is_due: IsDue) -> tuple[Leftover, ...]:
    """What is to be removed, in that order. Data is left out by an `is_due` that says so."""
    containers = tuple(each for each in (*_containers(seen), *_fillers(seen)) if is_due(each))
    doomed = {each.container for each in containers}
    stay = tuple(each for each in seen.containers if each.id not in doomed)
    others = (each for each in (*_volumes(seen, stay), *_networks(seen, stay)) if is_due(each))
    return (*containers, *others)


def without_a_trace(places: frozenset[PlaceId], seen: Seen) -> frozenset[PlaceId]:
    """Those of which there is neither a container, nor data, nor an intent: somebody removed them by hand."""
    volumes = {each.name for each in seen.volumes}
    there = {each for each in places if has_container(each, seen.containers) or naming.volume_name(each) in volumes}
    return places - there - seen.intents


def _containers(seen: Seen) -> Iterator[Leftover]:
    for container in seen.containers:
        place = _place_of(seen, container.labels, container.name, CONTAINERS)
        if place is None or place in seen.intents:
            continue
        why = _why_not(seen, container)
        if why:
            yield Leftover(
                kind=LeftoverKind.CONTAINER,
                name=container.name,
                place=place,
                workspace=WorkspaceName(container.labels[naming.WORKSPACE]),
                why=why,
                container=container.id,
                created_at=container.created_at,
            )


def _why_not(seen: Seen, container: Container) -> str:
    # A directory that knows no chat at all has lost them: then nothing follows from one that it does not know.
    if seen.chats and naming.scope_of(container.labels) not in seen.chats:
        return UNKNOWN_CHAT
    # An older Podman says "created" of those that ran when the machine went down: only their start tells them apart.
    is_new = container.state is ContainerState.CREATED and container.started_at is None
    return NEVER_STARTED if is_new else ""


def _fillers(seen: Seen) -> Iterator[Leftover]:
    """Containers without labels: they are ours by the name of what they are for, made of our empty image, never run."""
    owners: dict[str, tuple[PlaceId, WorkspaceName]] = {}
    for name, labels in (
        *((volume.name, volume.labels) for volume in seen.volumes),
        *((container.name, container.labels) for container in seen.containers),
    ):
        place = _place_of(seen, labels, name, (*CONTAINERS, *VOLUMES))
        if place is not None and place not in seen.intents:
            owner = (place, WorkspaceName(labels[naming.WORKSPACE]))
            owners[filler_of(name)] = owners[naming.reader_name(place)] = owner
    for container in seen.containers:
        is_filler = container.state is ContainerState.CREATED and container.started_at is None
        if container.name in owners and is_filler and container.image.endswith(EMPTY_IMAGE):
            place, workspace = owners[container.name]
            yield Leftover(
                kind=LeftoverKind.CONTAINER,
                name=container.name,
                place=place,
                workspace=workspace,
                why=DEAD_FILLER,
                container=container.id,
                created_at=container.created_at,
            )


def _volumes(seen: Seen, stay: tuple[Container, ...]) -> Iterator[Leftover]:
    mounted = {mount.volume for each in stay for mount in each.mounts if isinstance(mount, VolumeMount)}
    for volume in seen.volumes:
        place = _place_of(seen, volume.labels, volume.name, VOLUMES)
        if place is None or volume.driver != "local" or volume.options or volume.name in mounted:
            continue
        if place in seen.intents or has_container(place, stay):
            continue
        is_data = volume.labels[naming.KIND] != "configs"
        yield Leftover(
            kind=LeftoverKind.VOLUME,
            name=volume.name,
            place=place,
            workspace=WorkspaceName(volume.labels[naming.WORKSPACE]),
            why=KEPT_DATA if is_data else NO_CONTAINER,
            created_at=_moment(volume.created_at),
            is_data=is_data,
        )


def _networks(seen: Seen, stay: tuple[Container, ...]) -> Iterator[Leftover]:
    joined = {name for each in stay for name in (each.network, *each.networks)}
    for network in seen.networks:
        place = _place_of(seen, network.labels, network.name, NETWORKS)
        if place is None or network.name in joined or network.containers or place in seen.intents:
            continue
        is_own = network.name == naming.own_network_name(place)
        has_one = has_container(place, stay)
        if _is_meant(seen, stay, place, network) if is_own else _is_shared_by(seen, stay, network):
            continue
        yield Leftover(
            kind=LeftoverKind.NETWORK,
            name=network.name,
            place=place,
            workspace=WorkspaceName(network.labels[naming.WORKSPACE]),
            why=NOT_SHARED if not is_own else OTHER_NETWORK if has_one else NO_CONTAINER,
        )


def _is_meant(seen: Seen, stay: tuple[Container, ...], place: PlaceId, network: Network) -> bool:
    """Whether a container of the place, whoever made it, is meant to be in its own network, or may be."""
    names = _names_of(place)
    of_place = [container for container in stay if container.name in names]
    return any(_network_of(seen, container) in ("", network.name) for container in of_place)


def _network_of(seen: Seen, container: Container) -> str:
    """The network that a container of ours was made for; "" where nobody can tell."""
    place = _place_of(seen, container.labels, container.name, CONTAINERS)
    recipe = recorded_of(container)
    if place is None or recipe is None:
        return ""
    return naming.network_name(seen.instance, naming.scope_of(container.labels), place, recipe.network)


def _is_shared_by(seen: Seen, stay: tuple[Container, ...], network: Network) -> bool:
    """Whether a container of the chat is meant to be in it, or may be in a moment."""
    if seen.intents:
        return True  # an intent names a place, not a chat
    scope = naming.scope_of(network.labels)
    ours = [c for c in stay if _place_of(seen, c.labels, c.name, CONTAINERS) and naming.scope_of(c.labels) == scope]
    return any(_network_of(seen, container) in ("", network.name) for container in ours)


def _place_of(seen: Seen, labels: Mapping[str, str], name: str, kinds: tuple[str, ...]) -> PlaceId | None:
    """The place that an object of one of these kinds belongs to; None for what is not verified as ours."""
    if labels.get(naming.INSTANCE) != seen.instance or labels.get(naming.KIND) not in kinds:
        return None
    workspace = WorkspaceName(labels.get(naming.WORKSPACE, ""))
    scope = Scope(principal=PrincipalId(labels.get(naming.PRINCIPAL, "")), chat=ChatId(labels.get(naming.CHAT, "")))
    place = naming.place_name(seen.instance, scope, workspace)
    # While containers are swapped they carry the signature for the name that they are to have, or had.
    signed = place if name in (naming.incoming_name(place), naming.outgoing_name(place)) else name
    return place if naming.is_ours(seen.key, signed, labels) else None


def has_container(place: PlaceId, stay: tuple[Container, ...]) -> bool:
    """Whether one of these is the place's, or is on the way in or out."""
    # Whoever made it: somebody else's under such a name is one more reason to leave things alone.
    names = _names_of(place)
    return any(each.name in names for each in stay)


def _names_of(place: PlaceId) -> set[str]:
    return {place, naming.incoming_name(place), naming.outgoing_name(place)}


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
