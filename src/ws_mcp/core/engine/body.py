"""A container's request in the engine's words (pure).

Bind mounts go by `Mounts`, never by `Binds`: with those the engine makes a source that is missing, as root.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import cast

from ws_mcp.core.engine.model import BindMount, ContainerSpec, Limits, Published, TmpfsMount, VolumeMount
from ws_mcp.core.engine.names import checked_image, checked_name, checked_path
from ws_mcp.core.errors import InvalidArgumentError

Json = dict[str, object]

NPROC = 32768  # processes of one user: as many as a kernel has ids unless it is told otherwise
LOG_FILES = 3  # of `log_max_bytes` each: the one that is written, and two before it
RESTARTS = ("no", "on-failure", "unless-stopped")
PID_MODES = ("", "host")
# Podman puts a memory file system at each of these when the root is read-only, unless one is asked for there: without
# a bound, and programs can be run from it. So it is asked for.
PODMAN_TMPFS = ("/run", "/tmp", "/var/tmp")  # noqa: S108 - in a container
PODMAN_OPTIONS = "mode=1777,size=64m,noexec,nosuid,nodev"


def container_body(spec: ContainerSpec, *, is_podman: bool) -> Json:
    """The body of "create a container".

    Raises:
        InvalidArgumentError: a name, a mount, a port or a text cannot be used.
    """
    _check_texts(spec)
    ports = {_port(published): published for published in spec.published}
    body: Json = {
        "Image": checked_image(spec.image),
        "User": spec.user,
        "WorkingDir": checked_path(spec.working_dir) if spec.working_dir else "",
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Labels": dict(spec.labels),
        "ExposedPorts": {port: {} for port in ports},
        "HostConfig": _host_config(spec, is_podman=is_podman),
    }
    if spec.network_aliases:
        network = checked_name("network", spec.network)
        aliases = [checked_name("network alias", alias) for alias in spec.network_aliases]
        body["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": aliases}}}
    if spec.entrypoint is not None:
        # An empty list would mean the image's own; a list of one empty text clears it.
        body["Entrypoint"] = list(spec.entrypoint) or [""]
    if spec.command is not None:
        body["Cmd"] = list(spec.command)
    return body


def with_process_limit(body: Json) -> Json:
    """The same request to a Podman of root, which asks for one limit more.

    Beside any limit that is asked for, it sets this one as high as the kernel can, and that fails where limits may not
    be raised (in a container, for example).
    """
    config = cast("Json", body["HostConfig"])
    ulimits = cast("list[Json]", config["Ulimits"])
    return body | {"HostConfig": config | {"Ulimits": [*ulimits, _ulimit("nproc", NPROC)]}}


def _host_config(spec: ContainerSpec, *, is_podman: bool) -> Json:
    config: Json = {
        "Mounts": [_mount(mount) for mount in spec.mounts if not isinstance(mount, TmpfsMount)],
        "Tmpfs": {
            **(dict.fromkeys(PODMAN_TMPFS, PODMAN_OPTIONS) if is_podman and spec.is_read_only else {}),
            **{checked_path(m.target): _tmpfs(m) for m in spec.mounts if isinstance(m, TmpfsMount)},
        },
        "PortBindings": {
            _port(p): [{"HostIp": _host_ip(p), "HostPort": str(p.host_port or "")}] for p in spec.published
        },
        "ReadonlyRootfs": spec.is_read_only,
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "SecurityOpt": list(spec.security_options),
        "RestartPolicy": {"Name": _one_of("restart", spec.restart, RESTARTS)},
        "PidMode": _one_of("pid_mode", spec.pid_mode, PID_MODES),
        **_limits(spec.limits),
    }
    if spec.network:
        config["NetworkMode"] = checked_name("network", spec.network)
    if spec.is_privileged:
        config["Privileged"] = True
    if spec.runtime:
        config["Runtime"] = _runtime(spec.runtime, is_podman=is_podman)
    if spec.log_max_bytes:
        options = {"max-size": str(spec.log_max_bytes)} | ({} if is_podman else {"max-file": str(LOG_FILES)})
        config["LogConfig"] = {"Type": "k8s-file" if is_podman else "local", "Config": options}
    return config


def _limits(limits: Limits) -> Json:
    config: Json = {}
    if limits.memory_bytes:
        # Swap is counted with it: without the second number the engine adds as much again in swap.
        config["Memory"] = config["MemorySwap"] = limits.memory_bytes
    if limits.cpus:
        config["NanoCpus"] = round(limits.cpus * 1e9)
    if limits.pids:
        config["PidsLimit"] = limits.pids
    if limits.shm_bytes:
        config["ShmSize"] = limits.shm_bytes
    if limits.nofile:
        config["Ulimits"] = [_ulimit("nofile", limits.nofile)]
    return config


def _ulimit(name: str, limit: int) -> Json:
    return {"Name": name, "Soft": limit, "Hard": limit}


def _mount(mount: VolumeMount | BindMount) -> Mapping[str, object]:
    common: Json = {"Target": checked_path(mount.target), "ReadOnly": mount.is_read_only}
    if isinstance(mount, BindMount):
        return common | {
            "Type": "bind",
            "Source": checked_path(mount.source),
            # What is mounted below it would be writable, whatever the bind itself is.
            "BindOptions": {"NonRecursive": True},
        }
    options = {"NoCopy": not mount.copies_image_content}
    return common | {"Type": "volume", "Source": checked_name("volume", mount.volume), "VolumeOptions": options}


def _tmpfs(mount: TmpfsMount) -> str:
    # Docker adds noexec by itself, Podman does not.
    words = [word for word in mount.options.split(",") if word]
    return ",".join(words if {"exec", "noexec"} & set(words) else [*words, "noexec"])


def _one_of(field: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InvalidArgumentError(f"{field} {value[:80]!r} cannot be used: one of {', '.join(map(repr, known))}")
    return value


def _runtime(runtime: str, *, is_podman: bool) -> str:
    if is_podman:
        # It would take its own instead, without a word.
        raise InvalidArgumentError(f"runtime {runtime[:80]!r} cannot be chosen: Podman has the one of containers.conf")
    return checked_name("runtime", runtime)


def _port(published: Published) -> str:
    return f"{published.container_port}/{published.protocol}"


def _host_ip(published: Published) -> str:
    if not published.host_ip:
        # The engine takes no address for every address.
        raise InvalidArgumentError(f"port {published.container_port} must be published on a stated address")
    return published.host_ip


def _check_texts(spec: ContainerSpec) -> None:
    words = (spec.user, *(spec.entrypoint or ()), *(spec.command or ()))
    text = "".join((*words, *chain.from_iterable((*spec.environment.items(), *spec.labels.items()))))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"the container's request has text that is not Unicode: {error.reason}") from error
    if "\0" in text:
        raise InvalidArgumentError("the container's request has a NUL character; leave it out")
