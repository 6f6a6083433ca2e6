"""The dev containers of a server: those below the operator's roots, or none, which costs nothing at its start."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ws_mcp.core.ages import Ages
from ws_mcp.core.changes import Changes
from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.devcontainers.off import NoDevContainers
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.execd.places import Places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import PlaceId, PrincipalId
from ws_mcp.core.job_notes import JobNotes
from ws_mcp.core.state import State
from ws_mcp.core.workspaces.rules import RulesOf

if TYPE_CHECKING:
    from ws_mcp.core.devcontainers.places import DevPlaces
    from ws_mcp.core.devcontainers.service import DevContainers


_NOT_GRANTED = NoDevContainers(has_engine=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The dev containers of a server, as acts and as places."""

    acts: DevContainers | NoDevContainers
    places: DevPlaces | NoDevContainers
    rules_of: RulesOf
    roots: tuple[Path, ...] = ()  # below which they are

    def acts_of(self, principal: PrincipalId) -> DevContainers | NoDevContainers:
        """Those that a principal may have: all or none. What they may have of this machine is the principal's."""
        rules = self.rules_of(principal)
        if not rules.has_devcontainers:
            return _NOT_GRANTED
        if isinstance(self.acts, NoDevContainers) or rules.roots == self.roots:
            return self.acts
        return self.acts.within(tuple(map(str, rules.roots)))

    def places_of(self, principal: PrincipalId) -> DevPlaces | NoDevContainers:
        """The places of those that a principal may have."""
        return self.places if self.rules_of(principal).has_devcontainers else _NOT_GRANTED

    def hear(self, place: PlaceId, event: Event) -> None:
        """An execd that is lost is brought back, if its container still runs."""
        if event.kind == "disconnected":
            self.acts.lost(place)


@asynccontextmanager
async def open_chosen(
    choices: DevContainerChoices,
    engine: Engine | None,
    state: State,
    places: Places,
    notes: JobNotes,
    *,
    rules_of: RulesOf,
    changes: Changes,
    ages: Ages,
) -> AsyncGenerator[Chosen]:
    """The dev containers below the roots that the operator chose; none without roots, or without an engine."""
    if engine is None or not choices.roots:
        none = NoDevContainers(has_engine=engine is not None)
        yield Chosen(acts=none, places=none, rules_of=rules_of)
        return
    # A seventh of a server's start, which only those pay who have dev containers.
    from ws_mcp.core.devcontainers.composition import open_below  # noqa: PLC0415

    below = open_below(choices, engine, state, places, changes=changes, ages=ages, notes=notes)
    async with below as (acts, devplaces):
        yield Chosen(acts=acts, places=devplaces, rules_of=rules_of, roots=choices.roots)
