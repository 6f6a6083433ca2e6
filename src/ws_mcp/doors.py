"""From settings to doors: which engine, and what the core is told of the operator's choices."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.runtime import Choices
from ws_mcp.core.workspaces.local import LocalRules
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.settings import Settings

NO_ENGINE = "none"


def choices_of(settings: Settings) -> Choices:
    """What the core is told."""
    return Choices(
        state=settings.state.expanduser().absolute(),
        workspaces=WorkspaceRules(default_image=settings.image, keep_ended=settings.ended),
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
