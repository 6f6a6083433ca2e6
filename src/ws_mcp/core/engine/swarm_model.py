"""A swarm as values: its nodes, and the rooms that workspaces have on them (pure).

A *room* is a service of one replica that holds what a workspace was promised on a node. Swarm's scheduler finds the
node; after that the room is pinned there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType

NodeId = NewType("NodeId", str)
"""What the swarm calls a node, 25 letters and digits; "" where there is only one engine."""

HERE = NodeId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmNode:
    """A machine of the swarm as its managers see it."""

    id: NodeId
    hostname: str
    address: str  # where other machines reach it
    state: str  # "ready" | "down" | "disconnected" | "unknown"
    message: str = ""  # why it is not ready, in Swarm's words
    availability: str = "active"  # "active" | "pause" | "drain"
    is_manager: bool = False
    is_leader: bool = False
    is_reachable: bool = True  # as a manager, by the others
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    architecture: str = ""
    cpus: float = 0.0
    memory_bytes: int = 0
    engine_version: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether the managers hear of it."""
        return self.state == "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSpec:
    """What a room is asked to be. `node`: where it has to be; "": where the scheduler wants it."""

    name: str
    labels: Mapping[str, str]
    image: str  # what holds the room: it has to be on the node
    command: tuple[str, ...]
    cpus: float = 0.0  # reserved; 0: nothing
    memory_bytes: int = 0  # reserved; 0: nothing
    node: NodeId = HERE
    constraints: tuple[str, ...] = ()  # the operator's, as Swarm writes them ("node.labels.disk==ssd")
    is_held: bool = True  # False: nothing is reserved, but where the data is stays known
    architecture: str = ""  # "" = any


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room as found. A change is refused unless it names the newest `version`."""

    id: str
    version: int
    spec: RoomSpec
    created_at: datetime
    assigned: NodeId = HERE  # the node of its newest task; "": of none yet
    task_state: str = ""  # "pending", "running", "rejected" ... of that task
    message: str = ""  # why it is not running, in Swarm's words ("insufficient resources on 3 nodes")

    @property
    def node(self) -> NodeId:
        """Where it is: pinned there, or just assigned."""
        return self.spec.node or self.assigned


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlaySpec:
    """A network that spans the nodes; containers of any of them may join it."""

    name: str
    labels: Mapping[str, str]
    subnet: str = ""
