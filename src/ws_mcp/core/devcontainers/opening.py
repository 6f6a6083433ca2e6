"""Opens the dev containers of a server: the list that is kept, the execds in them, the jobs that change them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from ws_mcp.core.ages import Ages
from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.base_images import TrackedDefinitions
from ws_mcp.core.devcontainers.copies import private_copy
from ws_mcp.core.devcontainers.definitions import HostDefinitions
from ws_mcp.core.devcontainers.ground import STALL_S, Ground
from ws_mcp.core.devcontainers.hints import hints_of
from ws_mcp.core.devcontainers.inside import ExecdInside
from ws_mcp.core.devcontainers.kept import open_kept
from ws_mcp.core.devcontainers.key_jobs import KeyJobs
from ws_mcp.core.devcontainers.moorings import moorings_of
from ws_mcp.core.devcontainers.policing import Policing
from ws_mcp.core.devcontainers.port import DevcontainerCli
from ws_mcp.core.devcontainers.records import Records
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.execd.delivery import ExecdVolumes
from ws_mcp.core.execd.places import PlaceAddress, Places
from ws_mcp.core.host.model import HostRules
from ws_mcp.core.job_notes import JobNotes
from ws_mcp.core.jobs import JobBounds, open_jobs
from ws_mcp.core.state import State

log = logging.getLogger(__name__)

CLIENT = "ws-mcp"
COUNT_S = 3.0  # for an execd to say what runs, before it is ended
BOUNDS = JobBounds(deadline_s=3600.0)  # a build without cache of a large image, and hooks that install much


@dataclass(frozen=True, slots=True, kw_only=True)
class DevContainerRules:
    """What the operator chose. `labels`: only dev containers that carry all of them; `host`: roots, and what is closed.

    `home`: whose git settings say what is ignored.
    """

    host: HostRules
    allowances: Allowances
    labels: dict[str, str] = field(default_factory=dict[str, str])
    home: str = ""
    stall_s: float = STALL_S


def ground_of(
    engine: Engine, state: State, places: Places, cli: DevcontainerCli, rules: DevContainerRules, *, ages: Ages
) -> Ground:
    """Everything on the real machine."""

    async def engine_id() -> str:
        return (await engine.info()).engine_id

    volumes = ExecdVolumes(engine, state)
    definitions = HostDefinitions(rules.host, rules.home)

    async def volume() -> str:
        return await volumes.ensure(binary("linux", (await engine.info()).architecture))

    async def running(address: PlaceAddress) -> int | None:
        try:
            with anyio.move_on_after(COUNT_S):
                return (await (await places.client(address)).stats()).running
        except WsError as error:
            log.info("the processes of %s cannot be counted: %s", address.place, error)
        return None

    return Ground(
        engine=engine,
        cli=cli,
        definitions=TrackedDefinitions(definitions, engine),
        inside=ExecdInside(engine, state, CLIENT, rules.allowances.local_env),
        records=Records(state, engine_id, ages),
        locks=state,
        policing=Policing(engine, rules.allowances, rules.host.closed),
        copies=private_copy,
        links=definitions.links,
        volume=volume,
        drop=places.drop,
        running=running,
        now=ages.wall,
        labels=rules.labels,
        stall_s=rules.stall_s,
        hints=hints_of,
        moored=moorings_of,
    )


@asynccontextmanager
async def open_devcontainers(
    ground: Ground,
    on_change: Callable[[], None],
    on_log: Callable[[], None],
    bounds: JobBounds = BOUNDS,
    notes: JobNotes | None = None,
) -> AsyncGenerator[DevContainers]:
    """Own the tasks; leaving the block cancels what is being made. Dev containers outlive it."""
    async with open_kept(ground, on_change, on_log) as kept, open_jobs(bounds, notes) as jobs:
        yield DevContainers(ground, kept, KeyJobs(jobs, kept))
