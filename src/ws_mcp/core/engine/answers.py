"""The engine's answers as values of ours (pure). Odd and missing members read as empty: engines differ in them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from ws_mcp.core.engine.model import EngineEvent, EngineInfo, Image, Network, Volume
from ws_mcp.core.engine.names import plain_image
from ws_mcp.core.engine.record import Record

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_KINDS = ("container", "volume", "network", "image", "service", "node")
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


def info_of(info: Record, version: Record, endpoint: str, storage_bytes: int = 0) -> EngineInfo:
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
        architecture=architecture_of(info.text("Architecture")),
        os=info.text("OperatingSystem"),
        storage_driver=info.text("Driver"),
        cgroup_version=info.text("CgroupVersion") or "1",
        cgroup_driver=info.text("CgroupDriver"),
        security_options=options,
        is_rootless=any("rootless" in option for option in options) or info.flag("Rootless"),
        has_live_restore=info.flag("LiveRestoreEnabled"),
        endpoint=endpoint,
        cpus=info.number("NCPU"),
        memory_bytes=info.number("MemTotal"),
        storage_bytes=storage_bytes,
        swarm_node=info.record("Swarm").text("NodeID"),
        told_at=time_of(info.text("SystemTime")),
    )


def time_of(text: str) -> datetime | None:
    """A moment as engines write it; None for "never" and for what is none."""
    if text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def says_podman(version: Record) -> bool:
    """Whether an answer to "version" is Podman's."""
    return any("podman" in part.text("Name").lower() for part in version.records("Components"))


def image_of(found: Record) -> Image:
    """From "inspect an image", or from an entry of "list images" (which has no architecture and no configuration)."""
    config = found.record("Config")
    return Image(
        id=found.text("Id"),
        tags=tuple(plain_image(tag) for tag in found.texts("RepoTags") if tag != "<none>:<none>"),
        architecture=architecture_of(found.text("Architecture")),
        os=found.text("Os"),
        digests=tuple(sorted(plain_image(d) for d in found.texts("RepoDigests") if not d.startswith("<none>"))),
        entrypoint=config.texts("Entrypoint"),
        command=config.texts("Cmd"),
        user=config.text("User"),
        working_dir=config.text("WorkingDir"),
        environment=environment_of(config),
        labels=config.record("Labels").strings(),
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


def usage_of(found: Record) -> dict[str, int]:
    """Bytes of each volume, from "data usage"; -1 is the engine's word for what it cannot measure."""
    sizes = {each.text("Name"): each.record("UsageData").get("Size") for each in found.records("Volumes")}
    return {name: size for name, size in sizes.items() if isinstance(size, int) and size >= 0}


def network_of(found: Record) -> Network:
    """From "inspect a network", or from an entry of "list networks" (which does not say who is in it)."""
    return Network(
        name=found.text("Name"),
        labels=found.record("Labels").strings(),
        driver=found.text("Driver"),
        subnets=tuple(pool.text("Subnet") for pool in found.record("IPAM").records("Config")),
        is_internal=found.flag("Internal"),
        containers=len(found.record("Containers").keys()),
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


def architecture_of(text: str) -> str:
    """An architecture as images name it."""
    return _ARCHITECTURES.get(text, text)


def environment_of(config: Record) -> dict[str, str]:
    """The environment in a configuration of a container or an image."""
    pairs = (entry.partition("=") for entry in config.texts("Env"))
    return {name: value for name, _, value in pairs}
