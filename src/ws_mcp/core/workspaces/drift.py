"""How a container differs from what it should be, in words, from a full look at it (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields

from ws_mcp.core.engine.asked import unmet
from ws_mcp.core.engine.model import ENGINE_VARIABLES, Container, ContainerSpec, Image, Limits
from ws_mcp.core.engine.names import is_id
from ws_mcp.core.workspaces import naming

LABELS_DIFFER = "its labels are other ones"


def drift(wanted: ContainerSpec, found: Container, image: Image) -> tuple[str, ...]:
    """Every reason why `found` is not what `wanted` says; empty: it is.

    `image` is what the wanted image's name means now. Values of variables are never repeated.
    """
    reasons = [reason for field in unmet(wanted, found) for reason in _WORDS[field](wanted, found)]
    return tuple(dict.fromkeys((*reasons, *_moved(wanted, found, image), *_added(wanted, found, image))))


def _moved(wanted: ContainerSpec, found: Container, image: Image) -> Iterable[str]:
    """What was left to the image, which is another one now."""
    if found.image_id != image.id and "image" not in unmet(wanted, found):
        yield f"image {wanted.image} means another image now ({_digest(image.id)}, it was {_digest(found.image_id)})"
    if not wanted.user and found.user != image.user:
        yield f"user is {found.user or 'root'!r}, not {image.user or 'root'!r}"


def _added(wanted: ContainerSpec, found: Container, image: Image) -> Iterable[str]:
    """What somebody put in beside what was asked for."""
    known = {*image.environment, *wanted.environment, *ENGINE_VARIABLES}
    added = sorted(found.environment.keys() - known)
    if added:
        yield f"environment has {', '.join(added)} besides"


def _environment(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    differing = sorted(name for name, value in wanted.environment.items() if found.environment.get(name) != value)
    yield f"environment differs in {', '.join(differing)}"


def _labels(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    # The image that it was made from is compared as such.
    names = wanted.labels.keys() - {naming.IMAGE, naming.SIGNATURE}
    if any(wanted.labels[name] != found.labels.get(name) for name in names):
        yield LABELS_DIFFER


def _mounts(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    want, have = ({mount.target: mount for mount in mounts} for mounts in (wanted.mounts, found.mounts))
    for target in sorted(want.keys() - have.keys()):
        yield f"nothing is mounted at {target}"
    for target in sorted(have.keys() - want.keys()):
        # An image may want volumes: the engine makes one without a name for each.
        if not is_id(getattr(have[target], "volume", "")):
            yield f"something is mounted at {target} that should not be"
    for target in sorted(want.keys() & have.keys()):
        if want[target] != have[target]:
            yield f"what is mounted at {target} is not what should be"


def _ports(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    want, have = (
        ", ".join(sorted(f"{port.host_ip}:{port.container_port}" for port in ports)) or "none"
        for ports in (wanted.published, found.published)
    )
    yield f"published ports are {have}, not {want}"


def _limits(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    for each in fields(Limits):
        have, want = getattr(found.limits, each.name), getattr(wanted.limits, each.name)
        if want and have != want:
            yield f"{each.name} is {have}, not {want}"


def _capabilities(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    more = sorted(found.capabilities - wanted.capabilities)
    less = sorted(wanted.capabilities - found.capabilities)
    yield f"capabilities: {', '.join(more) or 'none'} too many, {', '.join(less) or 'none'} too few"


def _security(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    have, want = (", ".join(sorted(options)) or "none" for options in (found.security_options, wanted.security_options))
    yield f"security options are {have}, not {want}"


def _networks(wanted: ContainerSpec, found: Container) -> Iterable[str]:
    if found.network != wanted.network:
        yield "its network is another one"
        return
    more = set(found.networks) - {wanted.network}
    yield f"it joined {len(more)} more network{'s' if len(more) > 1 else ''}" if more else "it has left its network"


def _digest(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]


def _value(word: str, field: str, nothing: str = "none") -> Words:
    def told(wanted: ContainerSpec, found: Container) -> Iterable[str]:
        yield f"{word} is {getattr(found, field) or nothing}, not {getattr(wanted, field) or nothing}"

    return told


def _other(text: str) -> Words:
    return lambda _wanted, _found: (text,)


Words = Callable[[ContainerSpec, Container], Iterable[str]]
_WORDS: Mapping[str, Words] = {
    "name": _value("name", "name"),
    "image": _value("image", "image"),
    "entrypoint": _other("its entry command is another one"),
    "command": _other("its command is another one"),
    "user": _value("user", "user", "root"),
    "working_dir": _value("working directory", "working_dir"),
    "environment": _environment,
    "labels": _labels,
    "mounts": _mounts,
    "published": _ports,
    "limits": _limits,
    "network": _networks,
    "network_aliases": _other("its names in the network are other ones"),
    "is_read_only": _value("read-only root", "is_read_only", "False"),
    "is_privileged": _value("privileged", "is_privileged", "False"),
    "cap_drop": _capabilities,
    "cap_add": _capabilities,
    "security_options": _security,
    "log_max_bytes": _value("log size", "log_max_bytes"),
    "pid_mode": _value("process namespace", "pid_mode", "own"),
    "restart": _value("restart", "restart", "no"),
    "platform": _value("platform", "platform"),
    "runtime": _value("runtime", "runtime", "the engine's own"),
}
