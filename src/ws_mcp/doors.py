"""From settings to doors: which engine, and what the core is told of the operator's choices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.quotas import Limits
from ws_mcp.core.runtime import Choices
from ws_mcp.core.workspaces.local import LocalRules
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.rules import LARGEST, WorkspaceRules
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
        devcontainers=DevContainerChoices(
            roots=settings.root,
            allow=settings.devcontainer_allow,
            cli=settings.devcontainer_cli,
            engine=settings.engine,
            labels=settings.devcontainer_label,
        ),
        keeps_local=settings.keep_local,
        limits=ProcessLimits(
            running=settings.running,
            ended=settings.ended,
            head_bytes=settings.head_bytes,
            tail_bytes=settings.tail_bytes,
        ),
    )


def limits_of(settings: Settings) -> Limits:
    """How much callers may ask for, where there is more than one of them."""
    return Limits(processes=settings.running, workspaces=settings.workspaces)


def rules_of(settings: Settings) -> WorkspaceRules:
    """What workspaces may be."""
    return WorkspaceRules(
        max_tier=settings.max_tier,
        sizes=_sizes_by_tier(settings.size),
        largest=_laid_over(settings.largest, LARGEST),
        runtimes=settings.runtime,
        default_image=settings.image,
        may_pull=settings.pull,
        roots=settings.root,
        templates=settings.template,
        homes=settings.home,
        server_url=settings.server_url,
        container_runtime=settings.container_runtime,
        workspaces=settings.workspaces,
        keep_ended=settings.ended,
        idle_stop_s=settings.idle_stop_s,
    )


def _sizes_by_tier(said: Mapping[str, float]) -> dict[int, Sizes]:
    by_tier: dict[int, dict[str, float]] = {}
    for key, value in said.items():
        tier, _, name = key.partition(".")
        by_tier.setdefault(int(tier), {})[name] = value
    return {tier: _laid_over(values, Sizes()) for tier, values in by_tier.items()}


def _laid_over(said: Mapping[str, float], sizes: Sizes) -> Sizes:
    return replace(sizes, **{name: value if name == "cpus" else int(value) for name, value in said.items()})


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
