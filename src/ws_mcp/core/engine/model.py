"""Containers, images, volumes and what is asked of an engine, as values in our own words (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ws_mcp.core.engine.capabilities import capabilities_of
from ws_mcp.core.ids import ContainerId

ENGINE_VARIABLES = frozenset({"PATH", "HOME", "HOSTNAME", "TERM", "container"})  # engines set them by themselves
_TMPFS_ALWAYS = {"", "rw", "nosuid", "nodev", "private", "rprivate", "tmpcopyup"}  # engines add or have them anyway


class ContainerState(StrEnum):
    """What the engine says of a container."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What the engine says about itself; `engine_id` is stable over restarts of the engine."""

    engine_id: str
    kind: str  # "docker" | "podman"
    version: str
    api_version: str
    architecture: str  # "amd64" | "arm64" | as reported
    os: str
    storage_driver: str
    cgroup_version: str
    cgroup_driver: str
    security_options: tuple[str, ...]
    is_rootless: bool
    has_live_restore: bool
    endpoint: str
    cpus: int = 0  # of its machine, as the rest; 0 = it does not say
    memory_bytes: int = 0
    storage_bytes: int = 0  # where it keeps containers
    swarm_node: str = ""  # what its swarm calls it; "" = it is in none
    told_at: datetime | None = field(default=None, compare=False)  # by its own clock; None = it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeMount:
    """A named volume in a container; that the engine fills an empty one from the image is not seen, nor compared."""

    volume: str
    target: str
    is_read_only: bool = False
    copies_image_content: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A directory of the engine's host in a container, without what is mounted below it there."""

    source: str
    target: str
    is_read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsMount:
    """A memory file system, nosuid, nodev, and noexec unless `options` (as in mount(8)) say `exec`; equal by effect."""

    target: str
    options: str = field(compare=False)
    effect: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        words = set(self.options.split(",")) - _TMPFS_ALWAYS
        object.__setattr__(self, "effect", frozenset(words if "exec" in words else words | {"noexec"}))


Mount = VolumeMount | BindMount | TmpfsMount


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A container port that is reachable at `host_ip:host_port` of the engine's host."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = "127.0.0.1"
    host_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of a container; 0 means none."""

    memory_bytes: int = 0
    cpus: float = 0.0
    pids: int = 0
    shm_bytes: int = 0
    nofile: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """Everything that a container is created with; an empty value or 0 leaves it to the image or the engine."""

    name: str
    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    user: str = ""
    working_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    mounts: tuple[Mount, ...] = ()
    published: tuple[Published, ...] = ()
    limits: Limits = Limits()
    network: str = ""  # "" = the engine's default, "none", or a network's name
    network_aliases: tuple[str, ...] = ()  # further names of it in `network`, which has to be a named one
    is_read_only: bool = False
    is_privileged: bool = False
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    log_max_bytes: int = 0  # of each log file; with 0 the engine's default log driver
    pid_mode: str = ""  # "" = its own processes only, "host" = all of the host
    restart: str = "no"  # "no" | "on-failure" | "unless-stopped"
    platform: str = ""  # "linux/amd64"; an image of another one is not found
    runtime: str = ""  # "runsc", "kata"; "" = the engine's default; Podman has no other

    @property
    def capabilities(self) -> frozenset[str]:
        return capabilities_of(self.cap_add, self.cap_drop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as found, in the words of `ContainerSpec`: what was asked for is found again, on every engine.

    What was left open is as the image or the engine has it. Beside it there may be labels of the image, its environment
    and `ENGINE_VARIABLES`. A listing says what its own fields say, and nothing about the rest.
    """

    id: ContainerId
    name: str
    image: str
    image_id: str
    state: ContainerState
    labels: Mapping[str, str]
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    published: tuple[Published, ...] = ()
    mounts: tuple[Mount, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Limits = Limits()
    network: str = ""
    networks: tuple[str, ...] = ()  # all that it has joined, sorted: "" = the engine's default; none has "none"
    network_aliases: tuple[str, ...] = ()  # in `network`, sorted, without those that the engine gives
    is_privileged: bool = False
    is_read_only: bool = False
    cap_add: tuple[str, ...] = ()  # without the prefix CAP_, sorted; compare `capabilities`
    cap_drop: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()  # sorted, without those that follow from other fields
    log_max_bytes: int | None = None  # None = the engine does not say (Podman)
    pid: int = 0  # of its first process on the engine's host; 0 while it does not run
    pid_mode: str = ""
    restart: str = "no"
    runtime: str = ""  # as the engine names it, its default, too; "" = it does not say (Podman)
    is_oom_killed: bool = False  # its last run ended, or lost a process, for want of memory
    host_access: tuple[str, ...] = ()  # ways to its host that no other field has ("device /dev/fuse", "ipc host")

    @property
    def capabilities(self) -> frozenset[str]:
        """What `cap_add` and `cap_drop` come to: engines may say the same in other words."""
        return capabilities_of(self.cap_add, self.cap_drop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image on the engine."""

    id: str
    tags: tuple[str, ...]
    architecture: str
    os: str = ""
    digests: tuple[str, ...] = ()  # name@sha256:..., for each registry that it came from
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A named volume; only a `local` driver without `options` is plain storage of the engine."""

    name: str
    driver: str
    labels: Mapping[str, str]
    options: Mapping[str, str]
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of containers."""

    name: str
    labels: Mapping[str, str]
    driver: str
    subnets: tuple[str, ...]
    is_internal: bool  # no way out
    containers: int  # that run in it; 0 in a listing


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A command to run in a container, its stdin and stdout a stream; `cwd` "" = the container's own."""

    argv: tuple[str, ...]
    user: str = ""
    cwd: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something happened to an engine object: only "look now", never the truth about it."""

    kind: str  # "container" | "volume" | "network" | "image"; of managers "service" | "node"
    action: str  # "create" | "start" | "die" | "destroy" | ... as the engine says
    id: str
    labels: Mapping[str, str]
