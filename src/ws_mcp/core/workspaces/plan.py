"""What has to be done so that a container workspace is as asked for (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ws_mcp.core.engine.model import (
    Container,
    ContainerSpec,
    ContainerState,
    Image,
    Published,
    VolumeMount,
)
from ws_mcp.core.errors import ConflictError, InvalidArgumentError
from ws_mcp.core.ids import PlaceId, Scope
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceSpec
from ws_mcp.core.workspaces.tiers import MIB, tier

WORKDIR = "/workspace"
RESERVED = "WSMCP_"
DEFAULT_TIER = 2
_LIVE = (ContainerState.RUNNING, ContainerState.RESTARTING)


class Step(StrEnum):
    """The one thing to do next."""

    NOTHING = "none"
    START = "started"
    CREATE = "created"
    REPLACE = "replaced"  # it was created and never started: a server died in between, nothing of worth is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a container is built on besides the spec: who asks, which objects, which execd."""

    instance: str
    key: bytes
    scope: Scope
    place: PlaceId
    execd_volume: str
    mount: str
    binary: str
    socket_directory: str
    keep_ended: int


def plan_workspace(spec: WorkspaceSpec, key: bytes, found: Container | None) -> Step:
    """Which step leads from what was found to what is asked for.

    Raises:
        ConflictError: the name is taken by a container that is not ours, or ours was made from another spec.
    """
    if found is None:
        return Step.CREATE
    if not naming.is_ours(key, found.name, found.labels):
        raise ConflictError(
            f"a container with the engine name of workspace {spec.name!r} exists that this ws-mcp did not make; "
            "choose another name, or remove that container by hand"
        )
    differing = naming.differences(naming.spec_label(spec), found.labels.get(naming.SPEC, ""))
    if differing:
        raise ConflictError(
            f"workspace {spec.name!r} exists and differs from what you ask for: {'; '.join(differing)}. "
            "Call it as it is, choose another name, or call remove_workspace first (its data is kept unless you say so)"
        )
    if found.state is ContainerState.CREATED:
        return Step.REPLACE
    if found.state is ContainerState.PAUSED:
        raise ConflictError(f"workspace {spec.name!r} is paused on the engine; unpause its container first")
    return Step.NOTHING if found.state in _LIVE else Step.START


def with_found(spec: WorkspaceSpec, found: Container | None) -> WorkspaceSpec:
    """What the caller left open, as it was asked for by who left `found` half-made; its environment is not known."""
    if found is None:
        return spec
    asked = naming.asked_of(found.labels.get(naming.SPEC, ""))
    return replace(
        spec,
        image=spec.image or asked.image or "",
        tier=spec.tier or asked.tier or 0,
        ports=asked.ports if spec.ports is None else spec.ports,
        has_volume=asked.has_volume if spec.has_volume is None else spec.has_volume,
    )


def with_defaults(spec: WorkspaceSpec) -> WorkspaceSpec:
    """What a new workspace is made from where the caller left something open."""
    return replace(
        spec,
        tier=spec.tier or DEFAULT_TIER,
        environment={} if spec.environment is None else spec.environment,
        ports=() if spec.ports is None else spec.ports,
        has_volume=True if spec.has_volume is None else spec.has_volume,
    )


def check_environment(spec: WorkspaceSpec) -> None:
    """Names that a container may be given.

    Raises:
        InvalidArgumentError
    """
    environment = spec.environment or {}
    for name, value in environment.items():
        if not name.replace("_", "a").isalnum() or not name.isascii() or name[0].isdigit() or len(name) > 128:
            raise InvalidArgumentError(f"environment name {name[:80]!r} cannot be used: letters, digits and '_' only")
        if name.startswith(RESERVED):
            raise InvalidArgumentError(f"environment name {name!r} is reserved: names with {RESERVED} are the server's")
        if "\0" in value:
            raise InvalidArgumentError(f"the value of {name!r} has a NUL byte")
    size = sum(len(name) + len(value.encode(errors="replace")) for name, value in environment.items())
    if size > 128 * 1024 or len(environment) > 128:
        raise InvalidArgumentError("the environment is too large: at most 128 variables and 128 KiB in all; use a file")


def check_ports(spec: WorkspaceSpec) -> None:
    """Ports that can be published.

    Raises:
        InvalidArgumentError
    """
    ports = spec.ports or ()
    for port in ports:
        if not 1 <= port <= 65535:
            raise InvalidArgumentError(f"port {port} cannot be published: 1 to 65535")
    if len(set(ports)) != len(ports) or len(ports) > 32:
        raise InvalidArgumentError("ports: at most 32, each once")
    if ports and tier(spec.tier or DEFAULT_TIER).network == "none":
        raise InvalidArgumentError(f"tier {spec.tier} has no network, so no port can be published; use tier 2")


def container_spec(spec: WorkspaceSpec, image: Image, ground: Ground, verifier: str) -> ContainerSpec:
    """The whole request to the engine."""
    level = tier(spec.tier)
    data = (VolumeMount(volume=naming.volume_name(ground.place), target=WORKDIR),) if spec.has_volume else ()
    execd = VolumeMount(volume=ground.execd_volume, target=ground.mount, is_read_only=True)
    return ContainerSpec(
        name=ground.place,
        image=spec.image,
        entrypoint=_entrypoint(image, ground),
        command=(),
        user=level.user,
        working_dir=WORKDIR,
        environment={
            **({"HOME": WORKDIR} if level.user else {}),
            **(spec.environment or {}),
            "WS_MCP_WORKSPACE": spec.name,
            "WS_MCP_TIER": str(spec.tier),
            "WSMCP_VERIFIER": verifier,
        },
        labels=_labels(spec, ground),
        mounts=(*data, execd, *level.tmpfs),
        published=tuple(Published(container_port=port) for port in spec.ports or ()),
        limits=level.limits,
        network=level.network,
        is_read_only=level.is_read_only,
        cap_drop=level.cap_drop,
        security_options=level.security_options,
        log_max_bytes=10 * MIB,
    )


def _entrypoint(image: Image, ground: Ground) -> tuple[str, ...]:
    serve = (ground.binary, "serve", "--dir", ground.socket_directory, "--place", ground.place)
    serve = (*serve, "--keep-ended", str(ground.keep_ended))
    own_command = image.entrypoint + image.command
    return (*serve, "--", *own_command) if own_command else serve


def _labels(spec: WorkspaceSpec, ground: Ground) -> dict[str, str]:
    return naming.labels_of(
        ground.instance,
        ground.key,
        kind="container",
        name=ground.place,
        scope=ground.scope,
        workspace=spec.name,
        more={
            naming.TIER: str(spec.tier),
            naming.SPEC: naming.spec_label(spec),
            naming.BINARY: ground.binary,
        },
    )
