"""Where a fake swarm puts the task of a room, and why nowhere: the filters of Swarm's own scheduler (pure).

Source: github.com/moby/swarmkit, `manager/scheduler/filter.go` (filters and their order), `pipeline.go` (words).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ws_mcp.core.engine.swarm_model import NodeId, RoomSpec, SwarmNode

_FIELDS: Mapping[str, Callable[[SwarmNode], str]] = {
    "node.id": lambda node: node.id,
    "node.hostname": lambda node: node.hostname,
    "node.role": lambda node: "manager" if node.is_manager else "worker",
    "node.platform.arch": lambda node: {"amd64": "x86_64", "arm64": "aarch64"}.get(node.architecture, ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Where a task is to be; without a node Swarm's words say why it is nowhere."""

    node: NodeId
    message: str


def choose(spec: RoomSpec, nodes: Iterable[SwarmNode], held: Mapping[NodeId, tuple[RoomSpec, ...]]) -> Chosen:
    """The node with the fewest rooms among those that have room; `held` is what others have on each."""
    missed: Counter[str] = Counter()
    fit: list[SwarmNode] = []
    for node in nodes:
        why = next((why for why, passes in _FILTERS.items() if not passes(spec, node, held.get(node.id, ()))), "")
        if why:
            missed[why] += 1
        else:
            fit.append(node)
    if fit:
        return Chosen(node=min(fit, key=lambda node: (len(held.get(node.id, ())), node.id)).id, message="")
    return Chosen(node=NodeId(""), message="; ".join(_words(why, number) for why, number in missed.most_common()))


def _words(why: str, number: int) -> str:
    count = f"{number} node{'' if number == 1 else 's'}"
    return f"{count} not available for new tasks" if why == _READY else f"{why} on {count}"


def _is_ready(_spec: RoomSpec, node: SwarmNode, _held: tuple[RoomSpec, ...]) -> bool:
    return node.is_ready and node.availability == "active"


def _has_room(spec: RoomSpec, node: SwarmNode, held: tuple[RoomSpec, ...]) -> bool:
    memory = node.memory_bytes - sum(other.memory_bytes for other in held)
    cpus = node.cpus - sum(other.cpus for other in held)
    return spec.memory_bytes <= memory and spec.cpus <= cpus + 1e-9


def _is_wanted(spec: RoomSpec, node: SwarmNode, _held: tuple[RoomSpec, ...]) -> bool:
    pin = (f"node.id=={spec.node}",) if spec.node else ()
    return all(_holds(constraint, node) for constraint in (*spec.constraints, *pin))


def _holds(constraint: str, node: SwarmNode) -> bool:
    is_negated = "!=" in constraint
    name, _, wanted = (part.strip() for part in constraint.partition("!=" if is_negated else "=="))
    label = node.labels.get(name.removeprefix("node.labels."), "") if name.startswith("node.labels.") else ""
    found = _FIELDS[name](node) if name in _FIELDS else label
    return (found.lower() == wanted.lower()) is not is_negated


def _can_run(spec: RoomSpec, node: SwarmNode, _held: tuple[RoomSpec, ...]) -> bool:
    return spec.architecture in ("", node.architecture)


_READY = "not available"
_FILTERS = {
    _READY: _is_ready,
    "insufficient resources": _has_room,
    "scheduling constraints not satisfied": _is_wanted,
    "unsupported platform": _can_run,
}
