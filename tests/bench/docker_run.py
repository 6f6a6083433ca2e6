"""A workspace's request as the flags of `docker run -d`, whole: what it has no flag for is an error."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import islice
from typing import cast

Json = Mapping[str, object]

POOL = IPv4Network("10.214.0.0/16")  # beside the one of our workspaces: engines have only about thirty of their own
PREFIX_LENGTH = 28
CLIENTS = 8
VERIFIER = "WSMCP_VERIFIER"
_SIMPLE = {"User": "--user", "WorkingDir": "--workdir"}
_HOST = {
    "Memory": "--memory",
    "MemorySwap": "--memory-swap",
    "PidsLimit": "--pids-limit",
    "ShmSize": "--shm-size",
    "PidMode": "--pid",
}
_LISTS = {"CapAdd": "--cap-add", "CapDrop": "--cap-drop", "SecurityOpt": "--security-opt"}


def run_argv(request: Json, name: str, network: str, volume: str) -> tuple[str, ...]:
    """`docker run -d` with everything that a dry run says of a workspace, in a network and on a volume of its own."""
    asked = _others(request, network, volume)
    entrypoint, *arguments = _texts(asked["Entrypoint"])
    flags = [*_flags(asked), *_host_flags(cast("Json", asked["HostConfig"])), "--entrypoint", entrypoint]
    command = (*arguments, *_texts(asked["Cmd"]))
    return ("docker", "run", "--detach", "--name", name, *flags, str(asked["Image"]), *command)


def _others(request: Json, network: str, volume: str) -> Json:
    """The request with another network and data volume, and a key for execd in place of the hidden one."""
    host = dict(cast("Json", request["HostConfig"]))
    host["NetworkMode"] = network
    host["Mounts"] = [
        {**mount, "Source": volume} if mount["Target"] == "/workspace" else mount
        for mount in cast("list[dict[str, object]]", host["Mounts"])
    ]
    environment = [pair for pair in _texts(request["Env"]) if not pair.startswith(VERIFIER)]
    return {**request, "HostConfig": host, "Env": [*environment, f"{VERIFIER}={'0' * 64}"]}


def _flags(asked: Json) -> Iterator[str]:
    known = {"Image", "Entrypoint", "Cmd", "HostConfig", "Env", "Labels", "ExposedPorts", *_SIMPLE}
    _refuse_unknown(asked, known)
    for key, flag in _SIMPLE.items():
        yield from (flag, str(asked[key])) if asked.get(key) else ()
    for pair in _texts(asked["Env"]):
        yield from ("--env", pair)
    for label, value in cast("Json", asked["Labels"]).items():
        yield from ("--label", f"bench.{label}={value}")  # of as many bytes, but none of ours


def _host_flags(host: Json) -> Iterator[str]:
    known = {"Mounts", "ReadonlyRootfs", "RestartPolicy", "NanoCpus", "Ulimits", "NetworkMode", "LogConfig"}
    _refuse_unknown({key: value for key, value in host.items() if value}, known | set(_HOST) | set(_LISTS))
    for key, flag in _HOST.items():
        yield from (flag, str(host[key])) if host.get(key) else ()
    for key, flag in _LISTS.items():
        for value in _texts(host[key]):
            yield from (flag, value)
    yield from ("--cpus", f"{cast('int', host['NanoCpus']) / 1e9:g}", "--network", str(host["NetworkMode"]))
    yield from ("--restart", str(cast("Json", host["RestartPolicy"])["Name"]))
    yield from ("--read-only",) if host["ReadonlyRootfs"] else ()
    for limit in cast("list[Json]", host["Ulimits"]):
        yield from ("--ulimit", f"{limit['Name']}={limit['Soft']}:{limit['Hard']}")
    for mount in cast("list[Json]", host["Mounts"]):
        words = [f"type={mount['Type']}", f"source={mount['Source']}", f"target={mount['Target']}"]
        yield from ("--mount", ",".join([*words, "readonly"] if mount["ReadOnly"] else words))
    log = cast("Json", host["LogConfig"])
    yield from ("--log-driver", str(log["Type"]))
    for name, value in cast("Json", log["Config"]).items():
        yield from ("--log-opt", f"{name}={value}")


def _refuse_unknown(asked: Json, known: set[str]) -> None:
    if unknown := sorted(asked.keys() - known):
        raise ValueError(f"the alternative would not have {', '.join(unknown)}: give it the flag")


def _texts(value: object) -> Sequence[str]:
    return cast("list[str]", value)


@dataclass(slots=True, kw_only=True)
class Alternatives:
    """Containers of `docker run -d`, each with a network and a volume of its own; `clear` removes all of them."""

    request: Json
    names: list[str] = field(default_factory=list[str])

    def argvs(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The network, which `docker run` does not make, and the container in it."""
        self.names.append(name)
        subnet = next(islice(POOL.subnets(new_prefix=PREFIX_LENGTH), len(self.names) - 1, None))
        network = ("docker", "network", "create", "--subnet", str(subnet), name)
        return network, run_argv(self.request, name, network=name, volume=name)

    def clear(self) -> None:
        """Remove everything; a few clients at once, since each takes one thing after the other."""
        for verb in (("rm", "--force"), ("network", "rm"), ("volume", "rm", "--force")):
            parts = [self.names[first::CLIENTS] for first in range(CLIENTS)]
            argvs = [("docker", *verb, *names) for names in parts if names]
            quiet = subprocess.DEVNULL
            for child in [subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet) for argv in argvs]:
                child.wait()
        self.names.clear()
