"""The resource about dev containers: which there are, and why they are out of date."""

from __future__ import annotations

from ws_mcp.edge.core_port import Core
from ws_mcp.edge.devcontainer_views import DevContainersView
from ws_mcp.edge.identity import Identity


class DevContainerResources:
    """The dev containers below the operator's roots as JSON."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def devcontainers(self) -> str:
        """Dev containers: state, whether they are out of date and why, the last error."""
        found = await self._core.devcontainers_of(self._identity.principal.id).list()
        return DevContainersView.of(found).shown()[1]
