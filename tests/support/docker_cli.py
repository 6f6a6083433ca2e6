"""The docker command line, for what tests and benchmarks do behind the server's back."""

from __future__ import annotations

import subprocess

INSTANCE = "dev.ws-mcp.instance"


def docker(*arguments: str) -> str:
    """Run the docker CLI; returns its stdout.

    Raises:
        subprocess.CalledProcessError
    """
    done = subprocess.run(("docker", *arguments), check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def containers_of(instance: str) -> list[str]:
    """Names of all containers, running or not, that carry the label of an instance."""
    return docker("ps", "--all", "--filter", f"label={INSTANCE}={instance}", "--format", "{{.Names}}").split()


def volumes_of(instance: str) -> list[str]:
    """Names of all volumes that carry the label of an instance."""
    return docker("volume", "ls", "--quiet", "--filter", f"label={INSTANCE}={instance}").split()


def remove_instance(instance: str) -> None:
    """Remove everything on the engine that carries the label of an instance."""
    for container in containers_of(instance):
        docker("rm", "--force", "--volumes", container)
    for volume in volumes_of(instance):
        docker("volume", "rm", "--force", volume)
