"""The engine's answers as values of ours (pure). Odd and missing members read as empty: engines differ in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from ws_mcp.core.engine.model import (
    BindMount,
    Container,
    ContainerState,
    EngineEvent,
    EngineInfo,
    Image,
    Limits,
    Mount,
    Published,
    TmpfsMount,
    Volume,
    VolumeMount,
)
from ws_mcp.core.engine.record import Record
from ws_mcp.core.ids import ContainerId

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_DEFAULT_NETWORKS = ("default", "bridge", "podman", "slirp4netns", "pasta")
_LATEST = 32503680000  # the year 3000, in seconds since 1970: what a datetime can hold in every zone
_ENDED = (ContainerState.EXITED, ContainerState.DEAD)
_KINDS = ("container", "volume", "network", "image")
_PODMAN_ACTIONS = {
    ("container", "died"): "die",
    ("container", "remove"): "destroy",
    ("volume", "remove"): "destroy",
    ("network", "remove"): "destroy",
}
# They say that somebody looked, or that a process of a container came or went: no object of the engine is different.
_IDLE_ACTIONS = (
    "exec",
    "attach",
    "detach",
    "resize",
    "top",
    "archive-path",
    "extract-to-dir",
    "mount",
    "unmount",
    "export",
)


def info_of(info: Record, version: Record, endpoint: str) -> EngineInfo:
    """From the answers to "info" and "version"."""
    is_podman = says_podman(version)
    options = info.texts("SecurityOptions")
    return EngineInfo(
        # Podman makes up another id for each answer; where its storage is does not change.
        engine_id=info.text("ID")
        if info.text("ID") and not is_podman
        else hashlib.sha256(f"{info.text('Name')}:{info.text('DockerRootDir')}".encode()).hexdigest()[:32],
        kind="podman" if is_podman else "docker",
        version=version.text("Version"),
        api_version=version.text("ApiVersion"),
        architecture=_ARCHITECTURES.get(info.text("Architecture"), info.text("Architecture")),
        os=info.text("OperatingSystem"),
        storage_driver=info.text("Driver"),
        cgroup_version=info.text("CgroupVersion") or "1",
        cgroup_driver=info.text("CgroupDriver"),
        security_options=options,
        is_rootless=any("rootless" in option for option in options) or info.flag("Rootless"),
        has_live_restore=info.flag("LiveRestoreEnabled"),
        endpoint=endpoint,
    )


def says_podman(version: Record) -> bool:
    """Whether an answer to "version" is Podman's."""
    return any("podman" in part.text("Name").lower() for part in version.records("Components"))


def container_of(found: Record) -> Container:
    """From "inspect a container"."""
    config, host, state = found.record("Config"), found.record("HostConfig"), found.record("State")
    now = _state(state.text("Status"))
    return Container(
        id=ContainerId(found.text("Id")),
        name=found.text("Name").removeprefix("/"),
        image=config.text("Image"),
        image_id=found.text("Image"),
        state=now,
        labels=config.record("Labels").strings(),
        created_at=_time(found.text("Created")) or datetime.fromtimestamp(0, UTC),
        started_at=_time(state.text("StartedAt")),
        finished_at=_time(state.text("FinishedAt")),
        exit_code=state.number("ExitCode") if now in _ENDED else None,
        published=_published(found.record("NetworkSettings").record("Ports"))
        or _published(host.record("PortBindings")),
        mounts=(
            *_mounts(found),
            *(TmpfsMount(target=path, options=options) for path, options in host.record("Tmpfs").strings().items()),
        ),
        entrypoint=config.texts("Entrypoint"),
        command=config.texts("Cmd"),
        user=config.text("User"),
        working_dir=config.text("WorkingDir"),
        environment=_environment(config),
        limits=_limits(host),
        network=_network(found),
        is_privileged=host.flag("Privileged"),
        is_read_only=host.flag("ReadonlyRootfs"),
        cap_add=_capabilities(host.texts("CapAdd")),
        cap_drop=_capabilities(host.texts("CapDrop")),
        security_options=host.texts("SecurityOpt"),
    )


def listed_container_of(found: Record) -> Container:
    """From one entry of "list containers"."""
    names = found.texts("Names")
    return Container(
        id=ContainerId(found.text("Id")),
        name=names[0].removeprefix("/") if names else "",
        image=found.text("Image"),
        image_id=found.text("ImageID"),
        state=_state(found.text("State")),
        labels=found.record("Labels").strings(),
        created_at=datetime.fromtimestamp(min(max(found.number("Created"), 0), _LATEST), UTC),
        published=tuple(
            Published(
                container_port=port.number("PrivatePort"),
                protocol=port.text("Type"),
                host_ip=port.text("IP"),
                host_port=port.number("PublicPort"),
            )
            for port in found.records("Ports")
            if port.number("PublicPort")
        ),
        mounts=tuple(_mounts(found)),
        network=_network(found),
    )


def image_of(found: Record) -> Image:
    """From "inspect an image", or from an entry of "list images" (which has no architecture and no configuration)."""
    config = found.record("Config")
    return Image(
        id=found.text("Id"),
        tags=tuple(tag for tag in found.texts("RepoTags") if tag != "<none>:<none>"),
        architecture=_ARCHITECTURES.get(found.text("Architecture"), found.text("Architecture")),
        entrypoint=config.texts("Entrypoint"),
        command=config.texts("Cmd"),
        user=config.text("User"),
        working_dir=config.text("WorkingDir"),
        environment=_environment(config),
    )


def volume_of(found: Record) -> Volume:
    """From "inspect a volume", or from an entry of "list volumes"."""
    return Volume(
        name=found.text("Name"),
        driver=found.text("Driver"),
        labels=found.record("Labels").strings(),
        options=found.record("Options").strings(),
        created_at=found.text("CreatedAt"),
    )


def event_of(found: Record) -> EngineEvent | None:
    """From one event; None for those that change no object."""
    kind, actor = found.text("Type"), found.record("Actor")
    action = found.text("Action") or found.text("status")
    if kind not in _KINDS or action.startswith(_IDLE_ACTIONS):
        return None
    return EngineEvent(
        kind=kind,
        action=_PODMAN_ACTIONS.get((kind, action), action),
        id=actor.text("ID") or found.text("id"),
        labels=actor.record("Attributes").strings(),
    )


def _state(text: str) -> ContainerState:
    aliases = {"configured": "created", "initialized": "created", "stopped": "exited", "stopping": "running"}
    try:
        return ContainerState(aliases.get(text.lower(), text.lower()))
    except ValueError:
        return ContainerState.UNKNOWN


def _time(text: str) -> datetime | None:
    if text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _published(ports: Record) -> tuple[Published, ...]:
    return tuple(
        Published(
            container_port=int(key.partition("/")[0]),
            protocol=key.partition("/")[2] or "tcp",
            host_ip=binding.text("HostIp"),
            host_port=binding.number("HostPort"),
        )
        for key in ports.keys()  # noqa: SIM118 - a Record is no dict
        if key.partition("/")[0].isdecimal()
        for binding in ports.records(key)
    )


def _mounts(found: Record) -> Iterator[Mount]:
    # The engine keeps them in a map: two looks at one container may have them in another order.
    for mount in sorted(found.records("Mounts"), key=lambda mount: mount.text("Destination")):
        target, is_read_only = mount.text("Destination"), mount.get("RW") is False
        if mount.text("Type") == "volume":
            yield VolumeMount(volume=mount.text("Name"), target=target, is_read_only=is_read_only)
        elif mount.text("Type") == "bind":
            yield BindMount(source=mount.text("Source"), target=target, is_read_only=is_read_only)


def _limits(host: Record) -> Limits:
    period = host.number("CpuPeriod") or 100_000
    return Limits(
        memory_bytes=host.number("Memory"),
        cpus=host.number("NanoCpus") / 1e9 or host.number("CpuQuota") / period,
        pids=max(host.number("PidsLimit"), 0),
        shm_bytes=host.number("ShmSize"),
        nofile=next((u.number("Soft") for u in host.records("Ulimits") if "nofile" in u.text("Name").lower()), 0),
    )


def _network(found: Record) -> str:
    mode = found.record("HostConfig").text("NetworkMode")
    if mode not in _DEFAULT_NETWORKS:
        return mode
    # Podman says "bridge" for every bridge; only here it has its name.
    joined = found.record("NetworkSettings").record("Networks").keys()
    return next((name for name in joined if name not in _DEFAULT_NETWORKS), "")


def _capabilities(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.upper().removeprefix("CAP_") for name in names)


def _environment(config: Record) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in config.texts("Env"))
    return {name: value for name, _, value in pairs}
