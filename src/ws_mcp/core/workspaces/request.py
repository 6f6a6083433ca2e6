"""What the engine is told for a recipe (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ws_mcp.core.engine.model import (
    BindMount,
    ContainerSpec,
    Image,
    Limits,
    Mount,
    Published,
    TmpfsMount,
    VolumeMount,
)
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import CONFIGS, WORKDIR
from ws_mcp.core.workspaces.recipe import HOST, NONE, Recipe, configs_digest, label_of
from ws_mcp.core.workspaces.tiers import MIB, NOFILE, SHM_BYTES, SOCKET_TARGET, TMP, Tier

SECRETS = "/run/secrets"
SECRETS_OPTIONS = "size=8m,mode=1777,noexec,nosuid,nodev"
VERIFIER = "WSMCP_VERIFIER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a container is built on besides its recipe: who asks, which objects, which execd, what the operator says."""

    instance: str
    key: bytes
    scope: Scope
    workspace: WorkspaceName
    place: PlaceId
    execd_volume: str
    mount: str
    binary: str
    socket_directory: str
    keep_ended: int
    network: str = ""  # the engine's name for it
    binds: tuple[BindMount, ...] = ()  # checked: the folder, its git directory, worker binaries
    bind_environment: Mapping[str, str] = field(default_factory=dict[str, str])
    engine_socket: str = ""  # path on the engine's host
    runtime: str = ""
    host_ip: str = "127.0.0.1"  # where its ports are published


def container_spec(recipe: Recipe, image: Image, level: Tier, ground: Ground) -> ContainerSpec:
    """The whole request to the engine; `level` has the sizes that were decided on."""
    return ContainerSpec(
        name=ground.place,
        image=recipe.image,
        platform=recipe.platform,
        entrypoint=_entrypoint(recipe, image, ground),
        command=(),
        user=level.user or recipe.user,
        working_dir=recipe.cwd or _directory(recipe, level),
        environment=_environment(recipe, level, ground),
        labels=labels_of(recipe, image, ground),
        mounts=tuple(_mounts(recipe, level, ground)),
        published=() if level.shares_network else tuple(_published(recipe, ground)),
        limits=_limits(level),
        network=_network(recipe, ground),
        network_aliases=(ground.workspace,) if naming.is_shared(recipe.network) else (),
        is_read_only=level.is_read_only,
        is_privileged=level.is_privileged,
        pid_mode=HOST if level.shares_pids else "",
        restart=recipe.restart,
        cap_drop=level.cap_drop,
        security_options=level.security_options,
        log_max_bytes=level.sizes.log_mib * MIB,
        runtime=ground.runtime,
    )


def labels_of(recipe: Recipe, image: Image, ground: Ground) -> dict[str, str]:
    """The signed labels of the container.

    A container gets those of its image as well. One that looks like ours is emptied, else the signature would not hold.
    """
    return naming.labels_of(
        ground.instance,
        ground.key,
        kind="container",
        name=ground.place,
        scope=ground.scope,
        workspace=ground.workspace,
        more={
            **dict.fromkeys(naming.signed_of(image.labels), ""),
            naming.TIER: str(recipe.tier),
            naming.SPEC: label_of(recipe),
            naming.IMAGE: image.id,
            naming.BINARY: ground.binary,
        },
    )


def _entrypoint(recipe: Recipe, image: Image, ground: Ground) -> tuple[str, ...]:
    serve = (ground.binary, "serve", "--dir", ground.socket_directory, "--place", ground.place)
    serve = (*serve, "--keep-ended", str(ground.keep_ended))
    own = recipe.command or image.entrypoint + image.command
    # Secrets are there only after the start: what needs them has to wait for them.
    gate = ("--gated",) if own and recipe.secrets_digest else ()
    return (*serve, *gate, "--", *own) if own else serve


def _environment(recipe: Recipe, level: Tier, ground: Ground) -> Mapping[str, str]:
    home = {"HOME": WORKDIR if has_workspace(recipe) else TMP} if level.user else {}
    own = {
        "WS_MCP_WORKSPACE": ground.workspace,
        "WS_MCP_TIER": str(recipe.tier),
        "WS_MCP_CONFIG_PATH": CONFIGS if configs_digest(recipe) else "",
        "WS_MCP_SECRETS_PATH": SECRETS if recipe.secrets_digest else "",
        "WS_MCP_URL": recipe.server_url,
        VERIFIER: naming.verifier_of(naming.secret_of(ground.key, ground.place)),
    }
    return {
        **home,
        **ground.bind_environment,
        **recipe.environment,
        **{name: value for name, value in own.items() if value},
    }


def _mounts(recipe: Recipe, level: Tier, ground: Ground) -> list[Mount]:
    mounts: list[Mount] = [VolumeMount(volume=ground.execd_volume, target=ground.mount, is_read_only=True)]
    if recipe.has_volume:
        mounts.append(VolumeMount(volume=naming.volume_name(ground.place), target=WORKDIR))
    if digest := configs_digest(recipe):
        mounts.append(VolumeMount(volume=naming.configs_name(ground.place, digest), target=CONFIGS, is_read_only=True))
    mounts.extend(ground.binds)
    if level.has_engine_socket:
        mounts.append(BindMount(source=ground.engine_socket, target=SOCKET_TARGET))
    if level.sizes.tmpfs_mib:
        flags = "noexec,nosuid,nodev" if level.is_read_only else "exec,nosuid,nodev"
        mounts.append(TmpfsMount(target=TMP, options=f"size={level.sizes.tmpfs_mib}m,{flags},mode=1777"))
    if recipe.secrets_digest:
        mounts.append(TmpfsMount(target=SECRETS, options=SECRETS_OPTIONS))
    return mounts


def has_workspace(recipe: Recipe) -> bool:
    """Whether /workspace is a mount of its own."""
    return recipe.has_volume or bool(recipe.folder)


def _published(recipe: Recipe, ground: Ground) -> Iterator[Published]:
    return (Published(container_port=port, host_ip=ground.host_ip) for port in recipe.ports)


def _directory(recipe: Recipe, level: Tier) -> str:
    return WORKDIR if has_workspace(recipe) or not level.is_read_only else TMP


def _network(recipe: Recipe, ground: Ground) -> str:
    return recipe.network if recipe.network in (NONE, HOST) else ground.network


def _limits(level: Tier) -> Limits:
    sizes = level.sizes
    return Limits(
        memory_bytes=sizes.memory_mib * MIB, cpus=sizes.cpus, pids=sizes.pids, shm_bytes=SHM_BYTES, nofile=NOFILE
    )
