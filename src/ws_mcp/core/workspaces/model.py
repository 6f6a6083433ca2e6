"""Workspaces as values: asked for, and found (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ws_mcp.core.engine.model import Limits
from ws_mcp.core.engine.swarm_model import HERE, NodeId
from ws_mcp.core.ids import ContainerId, PlaceId, WorkspaceName
from ws_mcp.core.workspaces.mounts import Access

WORKDIR = "/workspace"
CONFIGS = "/configs"


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


class Replace(StrEnum):
    """When a container that is out of date may be made anew, which ends the processes in it."""

    IF_IDLE = "if_idle"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large a container may get; 0 in a request: as the tier has it."""

    memory_mib: int = 0
    cpus: float = 0.0
    pids: int = 0
    tmpfs_mib: int = 0
    log_mib: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How to tell that what runs in a workspace is ready: exactly one of `tcp`, `http`, `command`."""

    tcp: int = 0
    http: int = 0
    path: str = "/"
    command: str = ""
    wait_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is put into a workspace. None: what is there stays."""

    files: Mapping[str, str] | None = None  # path below /configs: text
    template: str | None = None  # the operator's name for a directory of such files
    required: tuple[str, ...] = ()  # paths below /configs without which nothing is started
    home: str | None = None  # the operator's name for a tree that is copied into the home directory
    secrets: Mapping[str, str] | None = None  # files of /run/secrets, in memory only


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSpec:
    """A workspace that a chat asks for. None (or an empty image, tier 0): a default at first, later as it is."""

    name: WorkspaceName
    kind: WorkspaceKind
    image: str = ""
    platform: str | None = None
    tier: int = 0
    environment: Mapping[str, str] | None = None
    ports: tuple[int, ...] | None = None
    has_volume: bool | None = None
    access: Access | None = None
    folder: str | None = None
    mounts: Mapping[str, str] | None = None  # worker binaries: path in the container: file of the host
    sizes: Sizes = Sizes()
    network: str | None = None  # "own", "none", or the name of one that the workspaces of the chat share
    command: tuple[str, ...] | None = None
    user: str | None = None
    cwd: str | None = None
    restart: str | None = None
    idle_stop_s: int | None = None
    content: Content = Content()
    ready: Probe | None = None


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
    """A workspace as found. `tier`: what the engine reports that it may do, whatever it was asked for as."""

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
    path: str = WORKDIR
    network: str = ""
    access: Access = Access.NONE
    has_secrets: bool = False
    sandbox: str = ""  # local only: "bubblewrap" or "none"
    exit_code: int | None = None
    notes: tuple[str, ...] = ()
    held: str = ""  # why ws-mcp itself paused it
    folder: str = ""  # of the host, in place of a volume
    asked_image: str = ""  # as it was named; `image` is how the engine names it
    node: NodeId = HERE  # where there are several; `hostname`: what people call it
    hostname: str = ""
    unknown: str = ""  # why nobody can tell how it is now
    ended_with_engine: bool = False  # it ran until its engine ended, or was out of reach, and was stopped after that

    @property
    def obstacle(self) -> str:
        """Why nothing can be asked of it now though its processes may live; "" where that is not so."""
        held = f"it is paused: {self.held}" if self.held else ""
        return self.unknown or held or OBSTACLES.get(self.state, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """Answer to a provision: `change` is a `plan.Step`. `reasons`: what was, or is, out of date.

    `request`: only of a dry run, what the engine would be told, without secrets.
    """

    workspace: Workspace | None
    change: str
    duration_s: float
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    request: Mapping[str, object] | None = None
    is_ready: bool | None = None  # None: nobody asked
    readiness: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A provision goes on after its caller stopped waiting; the same call attaches to it again."""

    phase: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How a wish is to be fulfilled. `request_key`: the same key stands for the same request, also after a crash."""

    replace: Replace = Replace.IF_IDLE
    is_dry_run: bool = False
    request_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Answer to a stop or restart: the workspace as it is then."""

    workspace: Workspace
    ended_processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSlice:
    """Bytes `[offset, offset + len(content))` of a file of `size` bytes."""

    path: str
    content: bytes
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntryInfo:
    """One name of a directory; `kind`: file, directory, link, other."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryListing:
    """The first names of a directory, sorted; `total` counts all."""

    path: str
    entries: tuple[FileEntryInfo, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Answer to a removal: how many running processes ended with it, and whether its data was kept."""

    name: WorkspaceName
    ended_processes: int
    kept_volume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceListing:
    """The workspaces of a chat. `unknown`: why containers could not be listed now; "" when the list is whole.

    Then `age_s` says how long ago they were seen as they are listed; None: they were never seen.
    """

    workspaces: tuple[Workspace, ...]
    unknown: str = ""
    age_s: float | None = 0.0
