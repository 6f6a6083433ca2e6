"""A room as a service of Swarm's API, there and back (pure)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from ws_mcp.core.engine.answers import architecture_of
from ws_mcp.core.engine.containers import time_of
from ws_mcp.core.engine.record import Record
from ws_mcp.core.engine.swarm_model import HERE, NodeId, Room, RoomSpec, SwarmNode
from ws_mcp.core.errors import one_line

HELD_FOR = "dev.ws-mcp.room"  # a label of the container in a room; the room's own labels would make it look like ours
RESTART_S = 5  # until a task that could not start is tried again
_NANO = 1_000_000_000
_PIN = "node.id=="
_REASON = re.compile(r"no suitable node \((.*)\)", re.DOTALL)


def service_of(spec: RoomSpec) -> dict[str, object]:
    """The body that asks for a room."""
    pin = (f"{_PIN}{spec.node}",) if spec.node else ()
    platforms = [{"OS": "linux", "Architecture": spec.architecture}] if spec.architecture else []
    return {
        "Name": spec.name,
        "Labels": dict(spec.labels),
        "Mode": {"Replicated": {"Replicas": int(spec.is_held)}},
        # First out, then in: with more than is free beside itself a room would wait for ever.
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "continue"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": spec.image,
                "Command": list(spec.command),
                "Labels": {HELD_FOR: spec.name},
                "ReadOnly": True,
                "CapabilityDrop": ["ALL"],
            },
            "LogDriver": {"Name": "none"},
            "Resources": {
                "Reservations": {"NanoCPUs": round(spec.cpus * _NANO), "MemoryBytes": spec.memory_bytes},
            },
            "Placement": {"Constraints": [*spec.constraints, *pin], "Platforms": platforms},
            "RestartPolicy": {"Condition": "any", "Delay": RESTART_S * _NANO},
        },
    }


def room_of(service: Record, tasks: tuple[Record, ...]) -> Room:
    """From "inspect a service", or an entry of "list services", and the tasks that there are, of any service."""
    spec = _spec_of(service.record("Spec"))
    own = [task for task in tasks if task.text("ServiceID") == service.text("ID")]
    # Those of a room that is not held any more are on their way out.
    newest = max(own, key=_born, default=Record(None)) if spec.is_held else Record(None)
    status = newest.record("Status")
    return Room(
        id=service.text("ID"),
        version=service.record("Version").number("Index"),
        spec=spec,
        created_at=_born(service),
        assigned=NodeId(newest.text("NodeID")),
        task_state=status.text("State"),
        message=_reason(status.text("Err")),
    )


def rooms_of(services: Iterable[Record], tasks: Iterable[Record]) -> list[Room]:
    """The same of many services, each task read once."""
    by_service: defaultdict[str, list[Record]] = defaultdict(list)
    for task in tasks:
        by_service[task.text("ServiceID")].append(task)
    return [room_of(service, tuple(by_service[service.text("ID")])) for service in services]


def node_of(found: Record) -> SwarmNode:
    """From an entry of "list nodes"."""
    spec, said, status = found.record("Spec"), found.record("Description"), found.record("Status")
    manager, resources = found.record("ManagerStatus"), said.record("Resources")
    is_manager = spec.text("Role") == "manager"
    return SwarmNode(
        id=NodeId(found.text("ID")),
        hostname=said.text("Hostname"),
        address=_address(status.text("Addr"), manager.text("Addr")),
        state=status.text("State") or "unknown",
        message=one_line(status.text("Message")),
        availability=spec.text("Availability") or "active",
        is_manager=is_manager,
        is_leader=manager.flag("Leader"),
        is_reachable=not is_manager or manager.text("Reachability") == "reachable",
        labels=spec.record("Labels").strings(),
        architecture=architecture_of(said.record("Platform").text("Architecture")),
        cpus=resources.number("NanoCPUs") / _NANO,
        memory_bytes=resources.number("MemoryBytes"),
        engine_version=said.record("Engine").text("EngineVersion"),
    )


def _spec_of(spec: Record) -> RoomSpec:
    task = spec.record("TaskTemplate")
    container, placement = task.record("ContainerSpec"), task.record("Placement")
    reserved = task.record("Resources").record("Reservations")
    constraints = placement.texts("Constraints")
    is_pinned = bool(constraints) and constraints[-1].startswith(_PIN)
    return RoomSpec(
        name=spec.text("Name"),
        labels=spec.record("Labels").strings(),
        image=container.text("Image"),
        command=container.texts("Command"),
        cpus=reserved.number("NanoCPUs") / _NANO,
        memory_bytes=reserved.number("MemoryBytes"),
        node=NodeId(constraints[-1].removeprefix(_PIN)) if is_pinned else HERE,
        constraints=constraints[:-1] if is_pinned else constraints,
        is_held=spec.record("Mode").record("Replicated").number("Replicas") > 0,
        architecture=next((each.text("Architecture") for each in placement.records("Platforms")), ""),
    )


def _born(record: Record) -> datetime:
    return time_of(record.text("CreatedAt")) or datetime.fromtimestamp(0, UTC)


def _reason(text: str) -> str:
    found = _REASON.search(text)
    return one_line(found[1] if found else text, 240)


def _address(seen: str, of_manager: str) -> str:
    # A manager that made the swarm may be seen under an address that means "everywhere".
    usable = seen if seen not in ("", "0.0.0.0", "127.0.0.1", "::") else of_manager.rpartition(":")[0]  # noqa: S104
    return usable.strip("[]")
