"""What is started, stopped and removed as one: a container with the others of its compose project (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from ws_mcp.core.devcontainers.sightings import SERVICE, Sighting
from ws_mcp.core.engine.model import Container

DEPENDS_ON = "com.docker.compose.depends_on"  # "db:service_started:false,cache:service_healthy:true"


def unit_of(sighting: Sighting) -> tuple[Container, ...]:
    """The container and its project's others, in the order of a start. Duplicates are no part of it."""
    return in_start_order((sighting.container, *sighting.members))


def in_start_order(containers: Iterable[Container]) -> tuple[Container, ...]:
    """Each after those that its service depends on; what goes round in circles as it comes."""
    everything = tuple(containers)
    ordered: dict[str, Container] = {}
    visited: set[str] = set()

    def visit(container: Container) -> None:
        if container.id in visited:
            return
        visited.add(container.id)
        needs = _dependencies_of(container)
        for other in everything:
            if _service_of(other) in needs:
                visit(other)
        ordered[container.id] = container

    for container in everything:
        visit(container)
    return tuple(ordered.values())


def _service_of(container: Container) -> str:
    return container.labels.get(SERVICE, "")


def _dependencies_of(container: Container) -> frozenset[str]:
    words = container.labels.get(DEPENDS_ON, "").split(",")
    return frozenset(word.partition(":")[0].strip() for word in words if word.strip())
