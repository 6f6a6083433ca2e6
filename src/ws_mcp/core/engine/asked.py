"""Whether a container is as it was asked for, field by field (pure).

What a request leaves open is met by whatever the image or the engine has there. What an engine adds by itself is no
difference; the contract of the door proves that for Docker and for Podman.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ws_mcp.core.engine.model import Container, ContainerSpec, Published, VolumeMount
from ws_mcp.core.engine.names import is_id, plain_image

_CPU_STEP = 0.001  # engines keep a share of a period instead of the number

Check = Callable[[ContainerSpec, Container], bool]


def unmet(spec: ContainerSpec, found: Container) -> tuple[str, ...]:
    """The fields of `spec` that `found` does not meet; `found` is from "inspect", since a listing has too little."""
    return tuple(field for field, is_met in CHECKS.items() if not is_met(spec, found))


def _image(spec: ContainerSpec, found: Container) -> bool:
    return spec.image == found.image_id or _tagged(spec.image) == _tagged(found.image)


def _tagged(image: str) -> str:
    plain = plain_image(image)
    return plain if "@" in plain or ":" in plain.rpartition("/")[2] else f"{plain}:latest"


def _command(spec: ContainerSpec, found: Container) -> bool:
    # An empty one replaces the image's own only together with an entrypoint.
    is_open = spec.command is None or (not spec.command and spec.entrypoint is None)
    return is_open or spec.command == found.command


def _mounts(spec: ContainerSpec, found: Container) -> bool:
    asked, there = set(spec.mounts), set(found.mounts)
    # An image may want volumes; the engine makes them, with ids as names.
    return asked <= there and all(isinstance(more, VolumeMount) and is_id(more.volume) for more in there - asked)


def _published(spec: ContainerSpec, found: Container) -> bool:
    def meets(asked: Published, port: Published) -> bool:
        same = (asked.container_port, asked.protocol, asked.host_ip) == (
            port.container_port,
            port.protocol,
            port.host_ip,
        )
        return same and asked.host_port in (0, port.host_port)

    there = found.published
    return len(spec.published) == len(there) and all(any(meets(a, port) for port in there) for a in spec.published)


def _limits(spec: ContainerSpec, found: Container) -> bool:
    asked, there = spec.limits, found.limits
    numbers = (
        (asked.memory_bytes, there.memory_bytes),
        (asked.pids, there.pids),
        (asked.shm_bytes, there.shm_bytes),
        (asked.nofile, there.nofile),
    )
    are_met = all(limit in (0, its) for limit, its in numbers)
    return are_met and (not asked.cpus or abs(asked.cpus - there.cpus) < _CPU_STEP)


def _network(spec: ContainerSpec, found: Container) -> bool:
    # What was joined later is a difference, too: it leads to others.
    joined = () if spec.network == "none" else (spec.network,)
    return spec.network == found.network and joined == found.networks


def _capabilities(spec: ContainerSpec, found: Container) -> bool:
    return spec.is_privileged or spec.capabilities == found.capabilities


def _security(spec: ContainerSpec, found: Container) -> bool:
    return {option.removesuffix(":true") for option in spec.security_options} == set(found.security_options)


CHECKS: Mapping[str, Check] = {
    "name": lambda spec, found: spec.name == found.name,
    "image": _image,
    "entrypoint": lambda spec, found: spec.entrypoint in (None, found.entrypoint),
    "command": _command,
    "user": lambda spec, found: spec.user in ("", found.user),
    "working_dir": lambda spec, found: spec.working_dir in ("", found.working_dir),
    "environment": lambda spec, found: spec.environment.items() <= found.environment.items(),
    "labels": lambda spec, found: spec.labels.items() <= found.labels.items(),
    "mounts": _mounts,
    "published": _published,
    "limits": _limits,
    "network": _network,
    "network_aliases": lambda spec, found: set(spec.network_aliases) == set(found.network_aliases),
    "is_read_only": lambda spec, found: spec.is_read_only == found.is_read_only,
    "is_privileged": lambda spec, found: spec.is_privileged == found.is_privileged,
    "cap_drop": _capabilities,
    "cap_add": _capabilities,
    "security_options": _security,
    "log_max_bytes": lambda spec, found: not spec.log_max_bytes or found.log_max_bytes in (None, spec.log_max_bytes),
    "pid_mode": lambda spec, found: spec.pid_mode == found.pid_mode,
    "restart": lambda spec, found: spec.restart == found.restart,
    # A container does not say its platform; its image does.
    "platform": lambda _spec, _found: True,
    "runtime": lambda spec, found: not spec.runtime or found.runtime in ("", spec.runtime),
}
