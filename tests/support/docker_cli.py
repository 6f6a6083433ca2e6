"""The docker command line, for what tests and benchmarks do behind the server's back, on Docker and on Podman."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

INSTANCE = "dev.ws-mcp.instance"
BOUND_S = 120


def docker(*arguments: str, address: str = "") -> str:
    """Run the docker CLI against the engine at `address`, "" for the one of these tests; returns its stdout.

    Raises:
        subprocess.CalledProcessError
    """
    argv = _argv(address, arguments)
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=BOUND_S).stdout


def containers_of(instance: str, address: str = "") -> list[str]:
    """Names of all containers, running or not, that carry the label of an instance."""
    having = f"label={INSTANCE}={instance}"
    return docker("ps", "--all", "--filter", having, "--format", "{{.Names}}", address=address).split()


def volumes_of(instance: str, address: str = "") -> list[str]:
    """Names of all volumes that carry the label of an instance."""
    return docker("volume", "ls", "--quiet", "--filter", f"label={INSTANCE}={instance}", address=address).split()


def networks_of(instance: str, address: str = "") -> list[str]:
    """Names of all networks that carry the label of an instance."""
    having = f"label={INSTANCE}={instance}"
    return docker("network", "ls", "--filter", having, "--format", "{{.Name}}", address=address).split()


def remove_instance(instance: str, address: str = "") -> None:
    """Remove everything on the engine that carries the label of an instance."""
    containers = containers_of(instance, address)
    if containers:
        docker("rm", "--force", "--volumes", *containers, address=address)
    volumes = volumes_of(instance, address)
    if volumes:
        docker("volume", "rm", "--force", *volumes, address=address)
    networks = networks_of(instance, address)
    if networks:
        docker("network", "rm", *networks, address=address)


def _argv(address: str, arguments: Sequence[str]) -> Sequence[str]:
    return ("docker", *(("--host", address) if address else ()), *arguments)
