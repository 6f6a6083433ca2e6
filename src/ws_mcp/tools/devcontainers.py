"""Tools for dev containers: make one, or make it anew."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from ws_mcp.core.devcontainers.model import RecreateAsk, Target
from ws_mcp.core.job import StillRunning
from ws_mcp.edge.arguments import Text
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.devcontainer_views import RecreateView
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.progress import reporter
from ws_mcp.edge.tasks import goes_on

WAIT_S = 45


class DevContainerTools:
    """The tools for dev containers below the operator's roots."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def recreate_devcontainer(
        self,
        *,
        name: Annotated[Text, Field(description="Or container id")] = "",
        folder: Annotated[Text, Field(description="Of the project")] = "",
        config: Annotated[Text, Field(description="Its file")] = "",
        force: Annotated[bool, Field(description="Even if clean")] = False,
        dry_run: Annotated[bool, Field(description="Only say why")] = False,
        no_cache: Annotated[bool, Field(description="Build all")] = False,
        wait_s: Annotated[float, Field(ge=0, le=WAIT_S, description="0-45")] = WAIT_S,
        chat: Annotated[Text, Field(description="Handle")] = "",
    ) -> RecreateView:
        """Make or remake an outdated dev container: builds, then swaps."""
        if chat:  # it is told to every call; none is needed here
            await self._identity.caller(chat)
        target = Target(name=name, folder=folder, config=config)
        ask = RecreateAsk(force=force, is_dry_run=dry_run, no_cache=no_cache)
        made = await self._core.devcontainers_of(self._identity.principal.id).recreate(target, ask, reporter(), wait_s)
        view = partial(RecreateView.of, is_dry_run=dry_run)
        if isinstance(made, StillRunning):
            goes_on(view)
            return RecreateView.working(made)
        return view(made)
