"""Workspaces as values: asked for, and found (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ws_mcp.core.engine.model import Limits
from ws_mcp.core.ids import ContainerId, PlaceId, WorkspaceName


class WorkspaceKind(StrEnum):
    """`container`: on the engine. `local`: a directory of this machine, in a sandbox where one is installed."""

    CONTAINER = "container"
    LOCAL = "local"


class WorkspaceState(StrEnum):
    """`paused`, `unknown` (nobody answered now): neither means that the workspace or what runs in it is gone."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


OBSTACLES: Mapping[WorkspaceState, str] = {
    WorkspaceState.PAUSED: "its container is paused; unpause it (docker unpause), then try again",
    WorkspaceState.UNKNOWN: "its container restarts; try again in a moment",
}
"""Why nothing can be asked of a workspace whose processes may live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSpec:
    """A workspace that a chat asks for. What is None (or an empty image, tier 0) is not compared with what exists."""

    name: WorkspaceName
    kind: WorkspaceKind
    image: str = ""  # containers only
    tier: int = 0  # 0: tier 2 at first, later as it is
    environment: Mapping[str, str] | None = None  # None: none at first, later as it is
    ports: tuple[int, ...] | None = None  # None: as above
    has_volume: bool | None = None  # None: with a volume at first, later as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class PortUrl:
    """A published port of the workspace and where it is reached from this machine."""

    container_port: int
    host: str
    host_port: int

    @property
    def url(self) -> str:
        """As a browser would open it."""
        return f"http://{self.host}:{self.host_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace as found."""

    name: WorkspaceName
    kind: WorkspaceKind
    place: PlaceId
    state: WorkspaceState
    image: str
    tier: int
    created_at: datetime
    container: ContainerId | None = None
    ports: tuple[PortUrl, ...] = ()
    limits: Limits = field(default_factory=Limits)
    volume: str = ""
    path: str = "/workspace"
    network: str = ""
    sandbox: str = ""  # local only: "bubblewrap" or "none"
    exit_code: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """Answer to a provision: `change` is `created`, `started` or `none`."""

    workspace: Workspace
    change: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Answer to a removal: how many running processes ended with it, and whether its data was kept."""

    name: WorkspaceName
    ended_processes: int
    kept_volume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceListing:
    """The workspaces of a chat. `unknown`: why containers could not be listed now; "" when the list is whole."""

    workspaces: tuple[Workspace, ...]
    unknown: str = ""
