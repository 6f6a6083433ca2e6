"""The resource about dev containers: which there are, and why they are out of date."""

from __future__ import annotations

from ws_mcp.edge.core_port import Core
from ws_mcp.edge.devcontainer_views import DevContainersView


class DevContainerResources:
    """The dev containers below the operator's roots as JSON."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def devcontainers(self) -> str:
        """Dev containers: state, whether they are out of date and why, the last error."""
        return DevContainersView.of(await self._core.devcontainers.list()).shown()[1]
