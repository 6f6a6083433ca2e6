"""From the operator's choices to dev containers that work: which doors they stand on."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.clock import Now
from ws_mcp.core.devcontainers.allowances import allowances_of
from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.devcontainers.cli import RealDevcontainerCli
from ws_mcp.core.devcontainers.off import NoDevContainers
from ws_mcp.core.devcontainers.opening import DevContainerRules, ground_of, open_devcontainers
from ws_mcp.core.devcontainers.places import DevPlaces
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.execd.places import Places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.host.model import HostRules
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The dev containers of a server, as acts and as places."""

    acts: DevContainers | NoDevContainers
    places: DevPlaces | NoDevContainers

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
    *,
    changes: Changes,
    now: Now,
) -> AsyncGenerator[Chosen]:
    """The dev containers below the roots that the operator chose; none without roots, or without an engine."""
    if engine is None or not choices.roots:
        none = NoDevContainers(has_engine=engine is not None)
        yield Chosen(acts=none, places=none)
        return
    roots = await anyio.to_thread.run_sync(_real, choices.roots)
    rules = DevContainerRules(
        host=HostRules(roots=choices.roots, closed=(state.directory,)),
        allowances=allowances_of(choices.allow, roots, os.environ),
        labels=dict(choices.labels),
        home=str(Path.home()),
    )
    cli = RealDevcontainerCli(
        info=engine.info, setting=choices.cli, engine=choices.engine, local=rules.allowances.local_env
    )
    ground = ground_of(engine, state, places, cli, rules, now=now)

    def on_change() -> None:
        changes.emit(Change(subject=Subject.DEVCONTAINERS))

    async with open_devcontainers(ground, on_change) as devcontainers:
        yield Chosen(acts=devcontainers, places=DevPlaces(devcontainers, places.has))


def _real(roots: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(os.path.realpath(root) for root in roots)
