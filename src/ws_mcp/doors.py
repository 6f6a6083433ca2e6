"""From settings to doors: which engine, and what the core is told of the operator's choices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields, replace

from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.runtime import Choices
from ws_mcp.core.workspaces.local import LocalRules
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.rules import LARGEST, WorkspaceRules
from ws_mcp.core.workspaces.tiers import TIERS
from ws_mcp.settings import Settings

NO_ENGINE = "none"


def choices_of(settings: Settings) -> Choices:
    """What the core is told."""
    return Choices(
        state=settings.state.expanduser().absolute(),
        workspaces=rules_of(settings),
        local=LocalRules(
            may_run_unsandboxed=settings.allow_host_processes,
            has_network=settings.local_network,
            keep_ended=settings.ended,
        ),
        keeps_local=settings.keep_local,
        limits=ProcessLimits(
            running=settings.running,
            ended=settings.ended,
            head_bytes=settings.head_bytes,
            tail_bytes=settings.tail_bytes,
        ),
    )


def rules_of(settings: Settings) -> WorkspaceRules:
    """What container workspaces may be.

    Raises:
        InvalidArgumentError: a size has no such name or tier.
    """
    return WorkspaceRules(
        max_tier=settings.max_tier,
        sizes=_sizes_by_tier(settings.size),
        largest=_sizes("--largest", settings.largest, LARGEST),
        runtimes=settings.runtime,
        default_image=settings.image,
        may_pull=settings.pull,
        roots=tuple(root.expanduser().absolute() for root in settings.root),
        templates={name: path.expanduser().absolute() for name, path in settings.template.items()},
        homes={name: path.expanduser().absolute() for name, path in settings.home.items()},
        server_url=settings.server_url,
        container_runtime=settings.container_runtime,
        workspaces=settings.workspaces,
        keep_ended=settings.ended,
        idle_stop_s=settings.idle_stop_s,
    )


def _sizes_by_tier(given: Mapping[str, float]) -> dict[int, Sizes]:
    by_tier: dict[int, dict[str, float]] = {}
    for name, number in given.items():
        tier, _, size = name.partition(".")
        if not tier.isdecimal() or int(tier) not in TIERS:
            raise InvalidArgumentError(f"--size {name}: write TIER.NAME=N, as in 2.memory_mib=1024")
        by_tier.setdefault(int(tier), {})[size] = number
    return {tier: _sizes("--size", sizes, Sizes()) for tier, sizes in by_tier.items()}


def _sizes(flag: str, given: Mapping[str, float], otherwise: Sizes) -> Sizes:
    known = {each.name for each in fields(Sizes)}
    if unknown := sorted(given.keys() - known):
        raise InvalidArgumentError(f"{flag}: there is no {unknown[0]!r}; there are {', '.join(sorted(known))}")
    whole = {name: number if name == "cpus" else int(number) for name, number in given.items()}
    return replace(otherwise, **whole)


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncGenerator[Engine | None]:
    """The engine door, or None where the operator wants none. It connects with the first call, not here."""
    if settings.engine == NO_ENGINE:
        yield None
        return
    engine = DockerEngine(settings.engine)
    try:
        yield engine
    finally:
        await engine.aclose()
