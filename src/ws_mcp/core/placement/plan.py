"""What a room is to be, where a workspace may go, and what is said of nodes that are lost (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ws_mcp.core.database import Instance
from ws_mcp.core.engine.model import Limits
from ws_mcp.core.engine.swarm_model import HERE, NodeId, Room, RoomSpec, SwarmNode
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError, one_line
from ws_mcp.core.execd.hold import COMMAND
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import Workspace, WorkspaceKind, WorkspaceSpec, WorkspaceState
from ws_mcp.core.workspaces.recipe import Digests, Recipe, recipe_of
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER, MIB

WHAT_TO_DO = (
    "what is there is not gone: wait until the node is back, or let the operator give it up with `ws-mcp replace`"
)
NO_ROOM = "insufficient resources"  # Swarm's words for it
WHAT_IS_SHORT = "it runs on, with what others leave; ask for less, or remove workspaces there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a workspace is promised on its node."""

    scope: Scope
    name: WorkspaceName
    place: PlaceId
    cpus: float
    memory_bytes: int
    tier: int = DEFAULT_TIER
    architecture: str = ""  # "" = any


def wanted_of(
    scope: Scope, place: PlaceId, spec: WorkspaceSpec, recorded: Recipe | None, rules: WorkspaceRules
) -> Wanted:
    """What a wish comes to; what it leaves open is as it was recorded.

    Raises:
        InvalidArgumentError, ForbiddenError
    """
    recipe = recipe_of(spec, recorded, rules, Digests())
    sizes = rules.sizes_of(recipe.tier, recipe.sizes)
    return Wanted(
        scope=scope,
        name=spec.name,
        place=place,
        cpus=sizes.cpus,
        memory_bytes=sizes.memory_mib * MIB,
        tier=recipe.tier,
        architecture=recipe.platform.partition("/")[2].partition("/")[0],
    )


def had_by(scope: Scope, workspace: Workspace) -> Wanted:
    """What a workspace has."""
    limits = workspace.limits
    return Wanted(
        scope=scope,
        name=workspace.name,
        place=workspace.place,
        cpus=limits.cpus,
        memory_bytes=limits.memory_bytes,
        tier=workspace.tier,
    )


def check_placeable(spec: WorkspaceSpec, rules: WorkspaceRules) -> None:
    """That a wish can be fulfilled on whichever node.

    Raises:
        InvalidArgumentError, ForbiddenError
    """
    if spec.tier > DEFAULT_TIER:
        raise ForbiddenError(
            f"tier {spec.tier} cannot be had here: workspaces are spread over machines (--placement swarm), and it "
            f"is root on whichever of them it comes to; use tier 1 or {DEFAULT_TIER}"
        )
    if spec.folder or spec.mounts:
        raise InvalidArgumentError(
            "folders and programs of the host cannot be mounted here: workspaces are spread over several machines "
            "(--placement swarm), which do not have them; leave `folder` and `mounts` out and write files instead"
        )
    if spec.network == "host":
        raise ForbiddenError("the network of the host cannot be had where workspaces are spread over several machines")
    if rules.container_runtime:
        raise ForbiddenError(
            f"no workspace can be made: this server has --container-runtime {rules.container_runtime}, which cannot be "
            "asked of all nodes (--placement swarm); the operator makes it the default runtime of the nodes' engines"
        )


def room_of(
    instance: Instance, wanted: Wanted, image: str, *, node: NodeId = HERE, constraints: tuple[str, ...] = ()
) -> RoomSpec:
    """The room of a workspace, held."""
    name = naming.room_name(wanted.place)
    labels = naming.labels_of(
        instance.id,
        instance.key,
        kind="room",
        name=name,
        scope=wanted.scope,
        workspace=wanted.name,
        more={naming.TIER: str(wanted.tier)},
    )
    return RoomSpec(
        name=name,
        labels=labels,
        image=image,
        command=COMMAND,
        cpus=wanted.cpus,
        memory_bytes=wanted.memory_bytes,
        node=node,
        constraints=constraints,
        architecture=wanted.architecture,
    )


def is_as_wanted(spec: RoomSpec, wanted: Wanted) -> bool:
    """Whether a room holds what is wanted."""
    return spec.is_held and abs(spec.cpus - wanted.cpus) < 1e-6 and spec.memory_bytes == wanted.memory_bytes


def verified(instance: Instance, rooms: Iterable[Room], known: Mapping[PlaceId, Room]) -> dict[PlaceId, Room]:
    """The rooms that this instance made, by their places. One that is `known` need not be verified again."""
    found: dict[PlaceId, Room] = {}
    for room in rooms:
        place = naming.place_of_room(room.spec.name)
        if room == known.get(place) or naming.is_ours(instance.key, room.spec.name, room.spec.labels):
            found[place] = room
    return found


def shun(constraints: tuple[str, ...], nodes: Iterable[NodeId]) -> tuple[str, ...]:
    """The operator's constraints, and that it may not be on these nodes."""
    return (*constraints, *(f"node.id!={node}" for node in sorted(nodes)))


def why_lost(node: SwarmNode | None, unreachable: str) -> str:
    """Why a node cannot be asked; "" where nothing says so. None: it is in the swarm no more."""
    if node is None:
        return "it was removed from the swarm"
    if not node.is_ready:
        said = f" ({one_line(node.message)})" if node.message else ""
        return f"the managers say that it is {node.state}{said}"
    return f"it cannot be reached from here: {unreachable}" if unreachable else ""


def told_lost(hostname: str, why: str, since: datetime | None) -> str:
    """What is said of such a node, and of each workspace there."""
    at = f" since {since.isoformat(timespec='seconds').replace('+00:00', 'Z')}" if since else ""
    return f"node {hostname!r} does not answer{at}: {why}; {WHAT_TO_DO}"


def lost(workspace: Workspace, text: str) -> Workspace:
    """A workspace that was seen before its node was lost."""
    return replace(
        workspace, state=WorkspaceState.UNKNOWN, unknown=text, notes=(*workspace.notes, text), exit_code=None
    )


def never_seen(room: Room, hostname: str, text: str) -> tuple[Scope, Workspace]:
    """A workspace of which only its room is known."""
    labels = room.spec.labels
    tier = labels.get(naming.TIER, "")
    return naming.scope_of(labels), Workspace(
        name=WorkspaceName(labels[naming.WORKSPACE]),
        kind=WorkspaceKind.CONTAINER,
        place=naming.place_of_room(room.spec.name),
        state=WorkspaceState.UNKNOWN,
        image="",
        tier=int(tier) if tier.isdecimal() else DEFAULT_TIER,
        created_at=room.created_at,
        limits=Limits(memory_bytes=room.spec.memory_bytes, cpus=room.spec.cpus),
        notes=(text,),
        node=room.node,
        hostname=hostname,
        unknown=text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """What is known of the workspaces of a node. `told`: why nobody can tell how they are now, in words."""

    node: NodeId
    hostname: str
    workspaces: Mapping[Scope, tuple[Workspace, ...]]
    told: str = ""
    note: str = ""  # what is worth knowing of a node that answers


def united(rooms: Mapping[PlaceId, Room], views: Iterable[NodeView]) -> dict[Scope, tuple[Workspace, ...]]:
    """The workspaces of all nodes, oldest first; those of lost nodes are unknown, also where only their rooms are."""
    found: dict[Scope, list[Workspace]] = {}
    held = _held_on(rooms)  # once for all nodes: many may be lost together
    for view in views:
        seen: set[PlaceId] = set()
        for scope, of_scope in view.workspaces.items():
            for workspace in of_scope:
                room = rooms.get(workspace.place)
                if room is not None and room.node not in (HERE, view.node):
                    continue  # it was given up here, and is elsewhere
                seen.add(workspace.place)
                found.setdefault(scope, []).append(_shown(workspace, view, room))
        for room in held.get(view.node, ()) if view.told else ():
            if naming.place_of_room(room.spec.name) not in seen:
                scope, workspace = never_seen(room, view.hostname, view.told)
                found.setdefault(scope, []).append(workspace)
    return {scope: tuple(sorted(of_scope, key=_age)) for scope, of_scope in found.items()}


def _held_on(rooms: Mapping[PlaceId, Room]) -> Mapping[NodeId, list[Room]]:
    found: dict[NodeId, list[Room]] = {}
    for room in rooms.values():
        if room.spec.is_held:
            found.setdefault(room.node, []).append(room)
    return found


def _shown(workspace: Workspace, view: NodeView, room: Room | None) -> Workspace:
    if view.told:
        return lost(workspace, view.told)
    note = view.note or (unreserved(room) if room is not None else "")
    return replace(workspace, notes=(*workspace.notes, note)) if note else workspace


def unreserved(room: Room) -> str:
    """What is said where the node of a room no longer has what the room is to hold; "" where it has."""
    if not room.spec.is_held or not room.spec.node or room.assigned or NO_ROOM not in room.message:
        return ""
    return f"its node has too little left to reserve what it may use ({one_line(room.message)}): {WHAT_IS_SHORT}"


def _age(workspace: Workspace) -> tuple[datetime, PlaceId]:
    return workspace.created_at, workspace.place
