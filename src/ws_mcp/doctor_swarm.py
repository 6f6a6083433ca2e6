"""What doctor says of a swarm: its managers, and of each node whether it answers, and is who it should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import anyio

from ws_mcp.console import Mark
from ws_mcp.core.clock import Now, utc_now
from ws_mcp.core.engine.swarm_model import Room, SwarmNode
from ws_mcp.core.errors import ImageNotFoundError, WsError
from ws_mcp.core.execd.hold import hold_image
from ws_mcp.core.placement.opening import Swarm
from ws_mcp.core.placement.plan import unreserved
from ws_mcp.core.workspaces import naming
from ws_mcp.facts import Fact

ANSWER_S = 10.0  # that one node has
SKEW_S = 2.0  # that its clock may be off from this machine's


async def swarm_facts(swarm: Swarm | None, now: Now = utc_now) -> list[Fact]:
    """About the managers, and each node, where workspaces are placed on them; `now` by this machine's clock."""
    if swarm is None:
        return []
    try:
        nodes = await swarm.managers.nodes()
    except WsError as error:
        return [Fact("swarm", str(error), Mark.BAD, "name a manager of the swarm with --engine")]
    found: dict[str, list[Fact]] = {}

    async def look(node: SwarmNode) -> None:
        found[node.id] = [*_standing(node), *await _answer(swarm, node, now)]

    async with anyio.create_task_group() as tasks:
        for node in nodes:
            tasks.start_soon(look, node)
    where = f"; workspaces only where {', '.join(swarm.constraints)}" if swarm.constraints else ""
    ready = sum(node.is_ready for node in nodes)
    return [
        Fact("swarm", f"{ready} of {len(nodes)} nodes are ready{where}"),
        *_managers(nodes),
        *(fact for node in nodes for fact in found[node.id]),
    ]


def room_facts(rooms: Iterable[Room]) -> list[Fact]:
    """About workspaces that have more than their node can promise them."""
    found = [(room.spec.labels[naming.WORKSPACE], unreserved(room)) for room in rooms]
    return [Fact("workspace", f"{name}: {text}", Mark.WARN) for name, text in found if text]


def _managers(nodes: Sequence[SwarmNode]) -> list[Fact]:
    managers = [node for node in nodes if node.is_manager]
    reachable = sum(node.is_reachable for node in managers)
    spare = reachable - (len(managers) // 2 + 1)
    text = f"{reachable} of {len(managers)} managers reach each other"
    if len(managers) == 1:
        return [Fact("swarm", f"{text}; nothing can be placed while it is lost", Mark.WARN, "make two more managers")]
    if spare < 1:
        return [Fact("swarm", f"{text}; with one less nothing can be placed", Mark.WARN, "bring the others back")]
    return [Fact("swarm", f"{text}; {spare} may be lost")]


def _standing(node: SwarmNode) -> list[Fact]:
    role = "leader" if node.is_leader else "manager" if node.is_manager else "worker"
    text = f"{node.hostname} ({role}, {node.address}, Docker {node.engine_version}, {node.cpus:g} processors)"
    if not node.is_ready:
        advice = "what is on it is unknown until it is back; `ws-mcp replace` gives it up"
        return [Fact("node", f"{text} is {node.state}: {node.message or 'no reason is said'}", Mark.WARN, advice)]
    if node.availability != "active":
        return [Fact("node", f"{text} is ready, and takes nothing new ({node.availability})", Mark.WARN)]
    return [Fact("node", f"{text} is ready")]


async def _answer(swarm: Swarm, node: SwarmNode, now: Now) -> list[Fact]:
    """Whether its engine answers as this node, and what its clock says."""
    if not node.is_ready:
        return []
    advice = f"say how its engine is reached: --node {node.hostname}=ENDPOINT"
    with anyio.move_on_after(ANSWER_S):
        try:
            return await _answered(swarm, node, now)
        except WsError as error:
            return [Fact("node", f"{node.hostname} cannot be used: {error}", Mark.WARN, advice)]
    return [Fact("node", f"{node.hostname} did not answer within {ANSWER_S:g} s", Mark.WARN, advice)]


async def _answered(swarm: Swarm, node: SwarmNode, now: Now) -> list[Fact]:
    engine = swarm.engines.engine(node)
    began, asked_at = anyio.current_time(), now()
    info = await engine.info()
    text = f"{node.hostname} answers in {(anyio.current_time() - began) * 1000:.0f} ms"
    clock = _clock(node, info.told_at, asked_at, now())
    try:
        await engine.image(hold_image())
    except ImageNotFoundError:
        return [Fact("node", f"{text}; the image that holds rooms comes with the first workspace"), *clock]
    return [Fact("node", f"{text} and has the image that holds rooms"), *clock]


def _clock(node: SwarmNode, told_at: datetime | None, asked_at: datetime, heard_at: datetime) -> list[Fact]:
    """Whether the clock of a node is off for certain: it was read between these two moments."""
    if told_at is None:
        return []
    ahead_s, behind_s = (told_at - heard_at).total_seconds(), (asked_at - told_at).total_seconds()
    if max(ahead_s, behind_s) <= SKEW_S:
        return []
    off = f"{ahead_s:.0f} s ahead of" if ahead_s > 0 else f"{behind_s:.0f} s behind"
    text = f"the clock of {node.hostname} is {off} this machine's: times and ages of what is there are told wrong"
    return [Fact("node", text, Mark.WARN, "set both clocks from the network (chrony, systemd-timesyncd)")]
