"""From the operator's choices to dev containers that work: which doors they stand on."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from ws_mcp.core.clock import Now
from ws_mcp.core.devcontainers.allowances import allowances_of
from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.devcontainers.cli import RealDevcontainerCli
from ws_mcp.core.devcontainers.copies import private_copy, real_paths
from ws_mcp.core.devcontainers.definitions import HostDefinitions
from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.inside import ExecdInside
from ws_mcp.core.devcontainers.off import NoDevContainers
from ws_mcp.core.devcontainers.opening import open_devcontainers
from ws_mcp.core.devcontainers.places import DevPlaces
from ws_mcp.core.devcontainers.policing import Policing
from ws_mcp.core.devcontainers.records import Records
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.execd.delivery import ExecdVolumes
from ws_mcp.core.execd.places import Places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.host.model import HostRules
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.state import State

CLIENT = "ws-mcp"


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
    now: Now,
    on_change: Callable[[], None],
) -> AsyncGenerator[Chosen]:
    """The dev containers below the roots that the operator chose; none without roots, or without an engine."""
    if engine is None or not choices.roots:
        none = NoDevContainers(has_engine=engine is not None)
        yield Chosen(acts=none, places=none)
        return
    roots = await anyio.to_thread.run_sync(_real, choices.roots)
    allowances = allowances_of(choices.allow, roots, os.environ)
    volumes = ExecdVolumes(engine, state)

    async def engine_id() -> str:
        return (await engine.info()).engine_id

    async def volume() -> str:
        return await volumes.ensure(binary("linux", (await engine.info()).architecture))

    ground = Ground(
        engine=engine,
        cli=RealDevcontainerCli(info=engine.info, setting=choices.cli, engine=choices.engine),
        definitions=HostDefinitions(HostRules(roots=choices.roots, closed=(state.directory,)), str(Path.home())),
        inside=ExecdInside(engine, state, CLIENT, allowances.local_env),
        records=Records(state, engine_id, now),
        locks=state,
        policing=Policing(engine, allowances),
        copies=private_copy,
        links=real_paths,
        volume=volume,
        drop=places.drop,
        now=now,
        labels=choices.labels,
    )
    async with open_devcontainers(ground, on_change) as devcontainers:
        yield Chosen(acts=devcontainers, places=DevPlaces(devcontainers, places.has))


def _real(roots: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(os.path.realpath(root) for root in roots)
