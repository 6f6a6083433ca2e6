"""A container as the engine shows it, in the words in which it was asked for (pure).

Engines write down the same thing differently, and add things of their own; what is here makes one truth of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from ws_mcp.core.engine.answers import environment_of, time_of
from ws_mcp.core.engine.body import PODMAN_OPTIONS, PODMAN_TMPFS
from ws_mcp.core.engine.model import (
    BindMount,
    Container,
    ContainerState,
    Limits,
    Mount,
    Published,
    TmpfsMount,
    VolumeMount,
)
from ws_mcp.core.engine.names import plain_image
from ws_mcp.core.engine.record import Record
from ws_mcp.core.ids import ContainerId

_DEFAULT_NETWORKS = ("default", "bridge", "podman", "slirp4netns", "pasta")
_LATEST = 32503680000  # the year 3000, in seconds since 1970: what a datetime can hold in every zone
_ENDED = (ContainerState.EXITED, ContainerState.DEAD)
_SIZE = re.compile(r"([0-9]{1,15})([kmg]?)b?")


def container_of(found: Record) -> Container:
    """From "inspect a container"."""
    config, host, state = found.record("Config"), found.record("HostConfig"), found.record("State")
    now = _state(state.text("Status"))
    return Container(
        id=ContainerId(found.text("Id")),
        name=found.text("Name").removeprefix("/"),
        image=plain_image(config.text("Image")),
        image_id=found.text("Image"),
        state=now,
        labels=config.record("Labels").strings(),
        created_at=time_of(found.text("Created")) or datetime.fromtimestamp(0, UTC),
        started_at=time_of(state.text("StartedAt")),
        finished_at=time_of(state.text("FinishedAt")),
        exit_code=state.number("ExitCode") if now in _ENDED else None,
        published=_published(found.record("NetworkSettings").record("Ports"))
        or _published(host.record("PortBindings")),
        mounts=(*_mounts(found), *_memory(host)),
        # A request clears the image's entrypoint with one empty word.
        entrypoint=() if config.texts("Entrypoint") == ("",) else config.texts("Entrypoint"),
        command=config.texts("Cmd"),
        user=config.text("User"),
        working_dir=config.text("WorkingDir") or "/",
        environment=environment_of(config),
        limits=_limits(host),
        network=_network(found),
        networks=_networks(found),
        network_aliases=_aliases(found),
        is_privileged=host.flag("Privileged"),
        is_read_only=host.flag("ReadonlyRootfs"),
        cap_add=_capabilities(host.texts("CapAdd")),
        cap_drop=_capabilities(host.texts("CapDrop")),
        security_options=_security(host),
        log_max_bytes=_log_max(host.record("LogConfig")),
        pid=state.number("Pid"),
        pid_mode=_pid_mode(host),
        restart=host.record("RestartPolicy").text("Name") or "no",
        # "oci" is Podman's word for whatever its own configuration names.
        runtime=host.text("Runtime").removeprefix("oci"),
        is_oom_killed=state.flag("OOMKilled"),
        host_access=tuple(_host_access(host)),
    )


def listed_container_of(found: Record) -> Container:
    """From one entry of "list containers"."""
    names = found.texts("Names")
    return Container(
        id=ContainerId(found.text("Id")),
        name=names[0].removeprefix("/") if names else "",
        image=plain_image(found.text("Image")),
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


def _state(text: str) -> ContainerState:
    aliases = {"configured": "created", "initialized": "created", "stopped": "exited", "stopping": "running"}
    try:
        return ContainerState(aliases.get(text.lower(), text.lower()))
    except ValueError:
        return ContainerState.UNKNOWN


def _published(ports: Record) -> tuple[Published, ...]:
    found = (
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
    return tuple(sorted(found, key=lambda port: (port.container_port, port.protocol, port.host_ip)))


def _mounts(found: Record) -> Iterator[Mount]:
    # The engine keeps them in a map: two looks at one container may have them in another order.
    for mount in sorted(found.records("Mounts"), key=lambda mount: mount.text("Destination")):
        target, is_read_only = mount.text("Destination"), mount.get("RW") is False
        if mount.text("Type") == "volume":
            yield VolumeMount(volume=mount.text("Name"), target=target, is_read_only=is_read_only)
        elif mount.text("Type") == "bind":
            yield BindMount(source=mount.text("Source"), target=target, is_read_only=is_read_only)


def _memory(host: Record) -> Iterator[Mount]:
    for path, options in sorted(host.record("Tmpfs").strings().items()):
        # What a read-only root gets on Podman is no part of what was asked for.
        if not (host.flag("ReadonlyRootfs") and path in PODMAN_TMPFS and options.startswith(PODMAN_OPTIONS)):
            yield TmpfsMount(target=path, options=options)


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
    return next((name for name in _joined(found).keys() if name not in _DEFAULT_NETWORKS), "")  # noqa: SIM118 - a Record


def _networks(found: Record) -> tuple[str, ...]:
    joined = _joined(found).keys()
    named = {"" if name in _DEFAULT_NETWORKS else name for name in joined if name != "none"}
    mode = found.record("HostConfig").text("NetworkMode")
    # A rootless Podman's default is no network of the list, and no Podman's host is.
    unlisted = {""} if not joined and mode in _DEFAULT_NETWORKS else {mode} if mode == "host" else set[str]()
    return tuple(sorted(named | unlisted))


def _aliases(found: Record) -> tuple[str, ...]:
    network = _network(found)
    names = _joined(found).record(network).texts("Aliases") if network else ()
    return tuple(sorted(name for name in names if not found.text("Id").startswith(name)))


def _joined(found: Record) -> Record:
    return found.record("NetworkSettings").record("Networks")


def _capabilities(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name.upper().removeprefix("CAP_") for name in names))


def _security(host: Record) -> tuple[str, ...]:
    # Engines switch SELinux labels off where a container sees the host's processes anyway.
    implied = {"label=disable"} if host.flag("Privileged") or _pid_mode(host) else set[str]()
    options = {option.removesuffix(":true") for option in host.texts("SecurityOpt")}
    return tuple(sorted(options - implied))


def _pid_mode(host: Record) -> str:
    return host.text("PidMode").removeprefix("private")


def _host_access(host: Record) -> Iterator[str]:
    for device in host.records("Devices"):
        yield f"device {device.text('PathOnHost')}"
    if host.get("DeviceRequests"):
        yield "devices of a driver (gpus)"
    for rule in host.texts("DeviceCgroupRules"):
        yield f"device rule {rule}"
    for name, word in (("IpcMode", "ipc"), ("UTSMode", "uts"), ("UsernsMode", "userns")):
        # Everything else ("private", "shareable") is its own.
        if host.text(name) == "host" or host.text(name).startswith(("container:", "ns:")):
            yield f"{word} {host.text(name)}"
    if host.texts("VolumesFrom"):
        yield "volumes of other containers"
    if host.get("MaskedPaths") == [] and not host.flag("Privileged"):
        yield "system paths unmasked"


def _log_max(config: Record) -> int | None:
    if config.get("Config") is None:
        return None
    size = _SIZE.fullmatch(config.record("Config").text("max-size").lower())
    return int(size[1]) * 1024 ** " kmg".index(size[2] or " ") if size else 0
