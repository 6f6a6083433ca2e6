"""How a container differs from what it should be, part by part, from a full look at it (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields

from ws_mcp.core.engine.model import (
    BindMount,
    Container,
    ContainerSpec,
    ContainerState,
    Image,
    Limits,
    Mount,
    TmpfsMount,
    VolumeMount,
)
from ws_mcp.core.workspaces import naming

# What engines put into the environment of a container on their own.
_OF_THE_ENGINE = frozenset({"PATH", "HOME", "HOSTNAME", "TERM", "container"})
_NO_RESTART = ("", "no")
LABELS_DIFFER = "its labels are other ones"


def drift(wanted: ContainerSpec, found: Container, image: Image) -> tuple[str, ...]:
    """Every reason why `found` is not what `wanted` says, in words; empty: it is.

    `image` is what the wanted image's name means now. Values of variables are never repeated.
    """
    return tuple(reason for part in _PARTS for reason in part(wanted, found, image))


def _image(wanted: ContainerSpec, found: Container, image: Image) -> Iterable[str]:
    if _short(found.image) != _short(wanted.image):
        yield f"image is {found.image}, not {wanted.image}"
    elif found.image_id != image.id:
        yield f"image {wanted.image} means another image now ({_digest(image.id)}, it was {_digest(found.image_id)})"


def _command(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    if wanted.entrypoint is not None and found.entrypoint != wanted.entrypoint:
        yield "its entry command is another one"
    if wanted.command is not None and found.command != wanted.command:
        yield "its command is another one"


def _user(wanted: ContainerSpec, found: Container, image: Image) -> Iterable[str]:
    if found.user != (wanted.user or image.user):
        yield f"user is {found.user or 'root'!r}, not {wanted.user or image.user or 'root'!r}"
    if wanted.working_dir and found.working_dir != wanted.working_dir:
        yield f"working directory is {found.working_dir!r}, not {wanted.working_dir!r}"


def _environment(wanted: ContainerSpec, found: Container, image: Image) -> Iterable[str]:
    known = {**image.environment, **wanted.environment}
    differing = [name for name, value in wanted.environment.items() if found.environment.get(name) != value]
    added = [name for name in found.environment if name not in known and name not in _OF_THE_ENGINE]
    if differing or added:
        yield f"environment differs in {', '.join(sorted({*differing, *added}))}"


def _mounts(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    want, have = ({mount.target: mount for mount in mounts} for mounts in (wanted.mounts, found.mounts))
    for target in sorted(want.keys() - have.keys()):
        yield f"nothing is mounted at {target}"
    for target in sorted(have.keys() - want.keys()):
        # An image may declare volumes: the engine makes one without a name for each.
        if not _is_anonymous(have[target]):
            yield f"something is mounted at {target} that should not be"
    for target in sorted(want.keys() & have.keys()):
        if not _is_same_mount(want[target], have[target]):
            yield f"what is mounted at {target} is not what should be"


def _ports(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    want, have = (
        sorted(f"{port.host_ip}:{port.container_port}" for port in ports)
        for ports in (wanted.published, found.published)
    )
    if want != have:
        yield f"published ports are {', '.join(have) or 'none'}, not {', '.join(want) or 'none'}"


def _limits(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    for each in fields(Limits):
        have, want = getattr(found.limits, each.name), getattr(wanted.limits, each.name)
        if want and have != want:
            yield f"{each.name} is {have}, not {want}"
    if wanted.log_max_bytes and found.log_max_bytes != wanted.log_max_bytes:
        yield f"log size is {found.log_max_bytes}, not {wanted.log_max_bytes}"


def _powers(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    pairs = (
        ("privileged", found.is_privileged, wanted.is_privileged),
        ("read-only root", found.is_read_only, wanted.is_read_only),
        ("process namespace", found.pid_mode or "own", wanted.pid_mode or "own"),
        ("added capabilities", sorted(found.cap_add), sorted(wanted.cap_add)),
        ("dropped capabilities", sorted(found.cap_drop), sorted(wanted.cap_drop)),
        ("runtime", found.runtime if wanted.runtime else "", wanted.runtime),
    )
    for name, have, want in pairs:
        if have != want:
            yield f"{name} is {have}, not {want}"
    missing = set(wanted.security_options) - set(found.security_options)
    if missing:
        yield f"security options lack {', '.join(sorted(missing))}"


def _network(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    if wanted.network and found.network != wanted.network:
        yield "its network is another one"
    # A container that does not run has left its networks.
    more = set(found.networks) - {wanted.network}
    if found.state is ContainerState.RUNNING and wanted.network not in ("", "none", "host") and more:
        yield f"it joined {len(more)} more network{'s' if len(more) > 1 else ''}"


def _restart(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    if (found.restart in _NO_RESTART) != (wanted.restart in _NO_RESTART) or (
        wanted.restart not in _NO_RESTART and found.restart != wanted.restart
    ):
        yield f"restart is {found.restart or 'no'}, not {wanted.restart}"


def _labels(wanted: ContainerSpec, found: Container, _image: Image) -> Iterable[str]:
    names = (naming.TIER, naming.BINARY, naming.SPEC)
    if any(found.labels.get(name) != wanted.labels.get(name) for name in names):
        yield LABELS_DIFFER


_Part = Callable[[ContainerSpec, Container, Image], Iterable[str]]
_PARTS: tuple[_Part, ...] = (
    _image,
    _command,
    _user,
    _environment,
    _mounts,
    _ports,
    _limits,
    _powers,
    _network,
    _restart,
    _labels,
)


def _is_same_mount(want: Mount, have: Mount) -> bool:
    if isinstance(want, VolumeMount) and isinstance(have, VolumeMount):
        return (want.volume, want.is_read_only) == (have.volume, have.is_read_only)
    if isinstance(want, BindMount) and isinstance(have, BindMount):
        return (want.source, want.is_read_only) == (have.source, have.is_read_only)
    # Engines add options of their own to those of a file system in memory.
    return isinstance(want, TmpfsMount) and isinstance(have, TmpfsMount) and _size(want) == _size(have)


def _size(mount: TmpfsMount) -> str:
    return next((option for option in mount.options.split(",") if option.startswith("size=")), "")


def _is_anonymous(mount: Mount) -> bool:
    return (
        isinstance(mount, VolumeMount) and len(mount.volume) == 64 and not set(mount.volume) - set("0123456789abcdef")
    )


def _short(image: str) -> str:
    """An image's name as people write it: Podman says `localhost/` or `docker.io/library/` before it."""
    for prefix in ("localhost/", "docker.io/library/", "docker.io/"):
        image = image.removeprefix(prefix)
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def _digest(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
