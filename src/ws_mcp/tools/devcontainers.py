"""Tools for dev containers: make one, or make it anew."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from mcp.types import CallToolResult, ResourceLink
from pydantic import Field

from ws_mcp.core.devcontainers.model import UNCHANGED, DevContainer, DevContainerListing, RecreateAsk, Recreated, Target
from ws_mcp.core.job import StillRunning
from ws_mcp.edge.answer import answered
from ws_mcp.edge.arguments import Text
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.devcontainer_views import RecreateView
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.progress import reporter
from ws_mcp.edge.tasks import goes_on
from ws_mcp.edge.uris import log_uri

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
    ) -> Annotated[CallToolResult, RecreateView]:
        """Make or remake an outdated dev container: builds, then swaps."""
        if chat:  # it is told to every call; none is needed here
            await self._identity.caller(chat)
        target = Target(name=name, folder=folder, config=config)
        ask = RecreateAsk(force=force, is_dry_run=dry_run, no_cache=no_cache)
        devcontainers = self._core.devcontainers_of(self._identity.principal.id)
        made = await devcontainers.recreate(target, ask, reporter(), wait_s)
        if isinstance(made, StillRunning):
            goes_on(partial(_answer, is_dry_run=False))
            return answered(RecreateView.working(made), "", *map(_log, _meant(await devcontainers.list(), target)))
        return _answer(made, is_dry_run=dry_run)


def _answer(made: Recreated, *, is_dry_run: bool) -> CallToolResult:
    has_log = not is_dry_run and made.change != UNCHANGED
    view = RecreateView.of(made, is_dry_run=is_dry_run)
    return answered(view, "", *((_log(made.devcontainer),) if has_log else ()))


def _meant(listing: DevContainerListing, target: Target) -> tuple[DevContainer, ...]:
    """The one that is being made, where the list has it already."""
    if target.name:
        found = listing.named(target.name)
        return (found,) if found is not None else ()
    of_folder = tuple(each for each in listing.devcontainers if each.key.folder == target.folder.rstrip("/"))
    return of_folder if len(of_folder) == 1 else ()


def _log(found: DevContainer) -> ResourceLink:
    return ResourceLink(uri=log_uri(found.name), name=f"build log of {found.name}", mime_type="text/plain")
