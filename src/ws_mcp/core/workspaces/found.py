"""A container of ours, as the workspace that it is (pure)."""

from __future__ import annotations

from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.ids import PlaceId, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WORKDIR, PortUrl, Workspace, WorkspaceKind, WorkspaceState
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.recipe import HOST, Recipe, recorded_of
from ws_mcp.core.workspaces.site import LOOPBACK, ONLY, Site
from ws_mcp.core.workspaces.tiers import effective_tier

_STATES = {
    ContainerState.RUNNING: WorkspaceState.RUNNING,
    ContainerState.PAUSED: WorkspaceState.PAUSED,
    ContainerState.RESTARTING: WorkspaceState.UNKNOWN,
    ContainerState.UNKNOWN: WorkspaceState.UNKNOWN,
}


def workspace_of(container: Container, site: Site = ONLY) -> Workspace:
    """The workspace in a container of an engine, fully looked at, whose labels were verified."""
    state = _STATES.get(container.state, WorkspaceState.STOPPED)
    recipe = recorded_of(container)
    place = PlaceId(container.name)
    return Workspace(
        name=WorkspaceName(container.labels[naming.WORKSPACE]),
        kind=WorkspaceKind.CONTAINER,
        place=place,
        state=state,
        image=container.image,
        tier=effective_tier(container),
        created_at=container.created_at,
        container=container.id,
        ports=_ports(container, recipe),
        limits=container.limits,
        volume=naming.volume_name(place) if recipe is None or recipe.has_volume else "",
        path=container.working_dir or WORKDIR,
        network=recipe.network if recipe is not None else container.network,
        has_secrets=recipe is not None and bool(recipe.secrets_digest),
        access=recipe.access if recipe is not None and recipe.folder else Access.NONE,
        folder=recipe.folder if recipe is not None else "",
        asked_image=recipe.image if recipe is not None else "",
        exit_code=container.exit_code if state is WorkspaceState.STOPPED else None,
        notes=tuple(_notes(container)),
        node=site.node,
        hostname=site.hostname,
    )


def _ports(container: Container, recipe: Recipe | None) -> tuple[PortUrl, ...]:
    if recipe is not None and recipe.network == HOST:
        # What listens there listens on the host itself.
        return tuple(PortUrl(container_port=port, host=LOOPBACK, host_port=port) for port in recipe.ports)
    return tuple(
        PortUrl(container_port=port.container_port, host=port.host_ip, host_port=port.host_port)
        for port in container.published
        if port.host_port
    )


def _notes(container: Container) -> list[str]:
    notes: list[str] = []
    if container.state is ContainerState.PAUSED:
        notes.append("paused on the engine")
    if container.is_oom_killed:
        notes.append("it was ended because it needed more memory than it may have")
    said = container.labels.get(naming.TIER, "")
    if said != str(effective_tier(container)):
        notes.append(f"it was asked for as tier {said}, but what it may do is tier {effective_tier(container)}")
    return notes
