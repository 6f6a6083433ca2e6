"""A container of ours, as the workspace that it is (pure)."""

from __future__ import annotations

from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.ids import PlaceId, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import PortUrl, Workspace, WorkspaceKind, WorkspaceState
from ws_mcp.core.workspaces.tiers import tier

_STATES = {
    ContainerState.RUNNING: WorkspaceState.RUNNING,
    ContainerState.PAUSED: WorkspaceState.PAUSED,
    ContainerState.RESTARTING: WorkspaceState.UNKNOWN,
    ContainerState.UNKNOWN: WorkspaceState.UNKNOWN,
}


def workspace_of(container: Container) -> Workspace:
    """The workspace in a container whose labels were verified."""
    state = _STATES.get(container.state, WorkspaceState.STOPPED)
    level = tier(int(container.labels.get(naming.TIER, "")))
    place = PlaceId(container.name)
    has_volume = naming.asked_of(container.labels.get(naming.SPEC, "")).has_volume
    return Workspace(
        name=WorkspaceName(container.labels[naming.WORKSPACE]),
        kind=WorkspaceKind.CONTAINER,
        place=place,
        state=state,
        image=container.image,
        tier=level.number,
        created_at=container.created_at,
        container=container.id,
        ports=tuple(
            PortUrl(container_port=port.container_port, host=port.host_ip, host_port=port.host_port)
            for port in container.published
            if port.host_port
        ),
        limits=level.limits,
        volume=naming.volume_name(place) if has_volume else "",
        network=level.network or "bridge",
        exit_code=container.exit_code if state is WorkspaceState.STOPPED else None,
    )
