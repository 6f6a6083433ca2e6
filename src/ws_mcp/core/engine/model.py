"""Containers, images, volumes and what is asked of an engine, as values in our own words (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ws_mcp.core.ids import ContainerId


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


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeMount:
    """A named volume in a container; with `copies_image_content` the engine fills an empty one from the image."""

    volume: str
    target: str
    is_read_only: bool = False
    copies_image_content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A directory of the engine's host in a container."""

    source: str
    target: str
    is_read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsMount:
    """A memory file system in a container; `options` as in mount(8), for example `size=64m,noexec`."""

    target: str
    options: str


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
    """Everything that a container is created with."""

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
    is_read_only: bool = False
    has_init: bool = False
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    log_max_bytes: int = 0  # with 0 the engine's default log driver
    log_files: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as found. A listing leaves `environment`, `entrypoint`, `command`, `user` and `limits` empty."""

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
    is_privileged: bool = False
    is_read_only: bool = False
    cap_add: tuple[str, ...] = ()  # without the prefix CAP_
    cap_drop: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image on the engine."""

    id: str
    tags: tuple[str, ...]
    architecture: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A named volume; only a `local` driver without `options` is plain storage of the engine."""

    name: str
    driver: str
    labels: Mapping[str, str]
    options: Mapping[str, str]
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A command to run in a container, its stdin and stdout a stream."""

    argv: tuple[str, ...]
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something happened to an engine object: only "look now", never the truth about it."""

    kind: str  # "container" | "volume" | "network" | "image"
    action: str  # "create" | "start" | "die" | "destroy" | ... as the engine says
    id: str
    labels: Mapping[str, str]
