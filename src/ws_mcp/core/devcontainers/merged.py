"""What a container can do, held against what is allowed, and the proof that one passed (pure).

What a container may do is what the engine says that it can do, whatever its labels say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from ws_mcp.core.devcontainers.allowances import Allowances, Violation
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.mount_rules import TEXT, Case, Paths, bind_violations
from ws_mcp.core.devcontainers.run_args import capability_violations, is_published_here, security_violations
from ws_mcp.core.devcontainers.sightings import has_folder, is_below
from ws_mcp.core.engine.model import BindMount, Container, Volume
from ws_mcp.core.errors import ForbiddenError
from ws_mcp.core.host.model import Given

_SEAL = object()

# By the first word of what the engine door says; the option with which it is asked for.
_OPTIONS = {
    "device": "--device",
    "devices": "--gpus",
    "ipc": "--ipc",
    "uts": "--uts",
    "userns": "--userns",
    "volumes": "--volumes-from",
    "system": "--security-opt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """Proof that a container is of a dev container below the roots and has no right that is not allowed.

    Only `clear` makes one: who demands it cannot be handed a container that merely carries labels. `given`: what was
    found where its mounts lead.
    """

    key: Key
    container: Container
    given: tuple[Given, ...] = ()
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise RuntimeError("a proof is made by `clear` alone")


def check_container(
    container: Container, key: Key, allowances: Allowances, paths: Paths = TEXT, volumes: Iterable[Volume] = ()
) -> tuple[Violation, ...]:
    """Of an inspected container. `volumes`: those that are mounted in it."""
    case = Case(key=key, allowances=allowances, paths=paths)
    return tuple(
        chain(
            _privileges(case, container),
            _walls(case, container),
            _binds(case, container),
            _ports(case, container),
            _volumes(volumes),
        )
    )


def clear(
    container: Container,
    record: Record,
    allowances: Allowances,
    paths: Paths = TEXT,
    volumes: Iterable[Volume] = (),
) -> Cleared:
    """Proof for an inspected container that passes. `record`: what is kept of it, or an adopted one where nothing is.

    Raises:
        ForbiddenError
    """
    if record.container != container.id:
        raise RuntimeError("a record of another container")
    key = record.key
    if not any(is_below(paths.real(key.folder), root) for root in allowances.roots):
        raise ForbiddenError(f"the folder {key.folder!r} is not below the roots that the operator named (--root)")
    # Labels can be written by anybody; a mount needs the right to mount the folder.
    if record.is_adopted and not has_folder(container, key.folder):
        raise ForbiddenError(
            f"container {container.name!r} carries the labels of a dev container, but its folder {key.folder!r} is not "
            "mounted in it, so nothing is run there; call recreate_devcontainer"
        )
    violations = check_container(container, key, allowances, paths, volumes)
    if violations:
        told = "; ".join(str(violation) for violation in violations)
        raise ForbiddenError(f"container {container.name!r} can do more than the operator allows: {told}")
    binds = (mount for mount in container.mounts if isinstance(mount, BindMount))
    given = (paths.given(paths.real(each.source), each.target) for each in binds)
    return Cleared(key=key, container=container, given=tuple(filter(None, given)), seal=_SEAL)


def _privileges(case: Case, container: Container) -> Iterator[Violation]:
    if container.is_privileged and not case.allowances.privileged:
        yield Violation(subject="the container", value="privileged", why="is root on this machine", allow="privileged")
    for name in container.cap_add:
        yield from capability_violations(case, "the container's capability", name)
    for option in container.security_options:
        yield from security_violations(case, "the container's security option", option)


def _walls(case: Case, container: Container) -> Iterator[Violation]:
    ways = [(_OPTIONS.get(way.split()[0], ""), way) for way in container.host_access]
    if container.pid_mode:
        ways.append(("--pid", f"pid {container.pid_mode}"))
    networks = {container.network, *container.networks}
    shared = (each for each in networks if each == "host" or each.startswith(("container:", "ns:")))
    ways.extend(("--network", f"network {network}") for network in shared)
    for option, way in sorted(ways):
        is_allowed = option in case.allowances.run_args or case.allowances.privileged
        if not is_allowed:
            why = "leads out of the container"
            yield Violation(subject="the container", value=way, why=why, allow=f"run-arg:{option}" if option else "")


def _binds(case: Case, container: Container) -> Iterator[Violation]:
    for mount in container.mounts:
        if isinstance(mount, BindMount):
            yield from bind_violations(case, "the container's mount", mount.source, mount.source)


def _ports(case: Case, container: Container) -> Iterator[Violation]:
    if case.allowances.publish:
        return
    for port in container.published:
        address = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
        if not is_published_here(f"{address}:{port.container_port}"):
            value = f"{address}:{port.host_port}"
            why = "is open to other machines"
            yield Violation(subject="the container's port", value=value, why=why, allow="publish")


def _volumes(volumes: Iterable[Volume]) -> Iterator[Violation]:
    for volume in volumes:
        if volume.driver != "local" or volume.options:
            options = ",".join(f"{name}={value}" for name, value in sorted(volume.options.items()))
            why = "is a mount of whatever its options name"
            yield Violation(subject="the container's volume", value=f"{volume.name} ({options})", why=why)
