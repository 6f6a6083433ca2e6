"""Gives up what a workspace has on a lost node, for an operator who said so: it gets a room on another node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ws_mcp.core.clock import Now
from ws_mcp.core.engine.swarm_model import HERE, NodeId, Room, SwarmNode
from ws_mcp.core.errors import ConflictError, EngineUnavailableError, InvalidArgumentError
from ws_mcp.core.ids import ChatId, PlaceId, WorkspaceName
from ws_mcp.core.placement.opening import Placement
from ws_mcp.core.placement.rooms import lock_name
from ws_mcp.core.placement.survey import Survey
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """Which workspace has nothing any more on the node `before`, and will be made on `after`; by their host names."""

    name: WorkspaceName
    chat: ChatId
    before: str
    after: str


async def give_up(placement: Placement, state: State, which: str, now: Now, *, is_forced: bool) -> GivenUp:
    """Move the room of a workspace (by its name or place) off its node; its data there is given up.

    Raises:
        InvalidArgumentError: none is meant, or several are.
        ConflictError: its node is not lost.
        LimitError: no other node has room.
        EngineError: the managers do not answer; nothing was done.
    """
    survey, rooms = placement.survey, placement.rooms
    await _looked(survey)
    place = meant(survey.rooms, which)
    async with state.lock(lock_name(place)) as lock:
        await _looked(survey)  # who had the lock may have taken long, and a node that was down is back
        room = await rooms.find(place)
        if room is None or room.node == HERE:
            raise ConflictError(f"workspace {which!r} is on no node; provision_workspace makes it on one")
        check_lost(survey.nodes.get(room.node), room.node, is_forced=is_forced)
        moved = await rooms.move(room, lock)
        ledger = Ledger(state, now)
        await ledger.forget(place)
        await ledger.end(place)
    labels = room.spec.labels
    return GivenUp(
        name=WorkspaceName(labels[naming.WORKSPACE]),
        chat=naming.scope_of(labels).chat,
        before=_name_of(survey.nodes, room.node),
        after=_name_of(survey.nodes, moved.node),
    )


async def _looked(survey: Survey) -> None:
    await survey.looks.settled(is_fresh=True)
    if survey.unknown:
        raise EngineUnavailableError(f"nothing was done: {survey.unknown}")


def meant(rooms: Mapping[PlaceId, Room], which: str) -> PlaceId:
    """The place that an operator means, by a workspace's name or its place.

    Raises:
        InvalidArgumentError: none is meant, or several are.
    """
    found = [place for place, room in rooms.items() if which in (place, room.spec.labels[naming.WORKSPACE])]
    if not found:
        raise InvalidArgumentError(f"no workspace {which[:80]!r} has a room; `ws-mcp ps` shows all")
    if len(found) > 1:
        raise InvalidArgumentError(f"several chats have a workspace {which!r}; name its place: {', '.join(found)}")
    return found[0]


def check_lost(node: SwarmNode | None, name: str, *, is_forced: bool) -> None:
    """That the managers say that a node is lost; that it cannot be reached from here is no reason.

    Raises:
        ConflictError
    """
    if node is None or node.state == "down":
        return
    if not node.is_ready:
        raise ConflictError(
            f"nothing was done: the managers say that node {node.hostname!r} is {node.state}, as all nodes are for a "
            "moment after another manager leads; call again when they say that it is ready, or down"
        )
    if node.availability != "drain":
        raise ConflictError(
            f"nothing was done: the managers say that node {node.hostname!r} is ready, so nothing there is lost. If it "
            "cannot be reached from here, say how with --node; to leave it for good, drain it first (docker node "
            f"update --availability drain {node.hostname})"
        )
    if not is_forced:
        raise ConflictError(
            f"nothing was done: node {node.hostname!r} is drained, but runs, and the workspace with it; --force gives "
            f"up what it has there (on node {name})"
        )


def _name_of(nodes: Mapping[NodeId, SwarmNode], node: NodeId) -> str:
    return nodes[node].hostname if node in nodes else node
