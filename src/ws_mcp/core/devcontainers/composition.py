"""From the operator's choices to dev containers that work: which doors they stand on."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from ws_mcp.core.ages import Ages
from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.devcontainers.allowances import allowances_of
from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.devcontainers.cli import RealDevcontainerCli
from ws_mcp.core.devcontainers.lanes import ANSWER_S
from ws_mcp.core.devcontainers.opening import DevContainerRules, ground_of, open_devcontainers
from ws_mcp.core.devcontainers.places import DevPlaces
from ws_mcp.core.devcontainers.roots import real_root
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.execd.places import Places
from ws_mcp.core.host.model import HostRules
from ws_mcp.core.job_notes import JobNotes
from ws_mcp.core.state import State


@asynccontextmanager
async def open_below(
    choices: DevContainerChoices,
    engine: Engine,
    state: State,
    places: Places,
    *,
    changes: Changes,
    ages: Ages,
    notes: JobNotes,
) -> AsyncGenerator[tuple[DevContainers, DevPlaces]]:
    """The dev containers below the roots that the operator chose, as acts and as places."""
    roots = tuple([await real_root(path, ANSWER_S) for path in choices.roots])
    rules = DevContainerRules(
        host=HostRules(roots=choices.roots, closed=(state.directory, *choices.closed)),
        allowances=allowances_of(choices.allow, roots, os.environ),
        labels=dict(choices.labels),
        home=str(Path.home()),
    )
    cli = RealDevcontainerCli(
        info=engine.info, setting=choices.cli, engine=choices.engine, local=rules.allowances.local_env
    )
    ground = ground_of(engine, state, places, cli, rules, ages=ages)

    def on_change() -> None:
        changes.emit(Change(subject=Subject.DEVCONTAINERS))

    def on_log() -> None:
        changes.emit(Change(subject=Subject.BUILD_LOGS))

    async with open_devcontainers(ground, on_change, on_log, notes=notes) as devcontainers:
        yield devcontainers, DevPlaces(devcontainers, places.has)
