"""Resources about dev containers: which there are, why they are out of date, and what was said while one was made."""

from __future__ import annotations

from ws_mcp.core.errors import EngineUnavailableError, NotFoundError
from ws_mcp.core.unseen import seen
from ws_mcp.edge.core_port import Core, DevContainers
from ws_mcp.edge.devcontainer_views import DevContainersView, DevContainerView
from ws_mcp.edge.identity import Identity


class DevContainerResources:
    """The dev containers below the operator's roots as JSON, their build logs as text."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def devcontainers(self) -> str:
        """Dev containers: state, whether they are out of date and why, the last error."""
        return DevContainersView.of(await self._own.list()).shown()[1]

    async def devcontainer(self, name: str) -> str:
        """One dev container, by its name or the id of its container: state, why it is out of date, the last error."""
        listing = await self._own.list()
        found = listing.named(name)
        if found is None and listing.unknown:
            raise EngineUnavailableError(f"which dev containers there are is not known now: {listing.unknown}")
        if found is None:
            names = tuple(each.name for each in listing.devcontainers)
            raise NotFoundError("dev container", name, names, "ws://devcontainers has all.", is_shared=True)
        return DevContainerView.of(found).shown()[1]

    async def log(self, name: str) -> str:
        """What was said while a dev container was made or started last by this server: steps, builds, hooks."""
        log = await self._own.log(name)
        dropped = (f"[{log.dropped} lines before these are no longer kept]",) if log.dropped else ()
        return "".join(f"{seen(line)}\n" for line in (*dropped, *log.lines))

    @property
    def _own(self) -> DevContainers:
        return self._core.devcontainers_of(self._identity.principal.id)
