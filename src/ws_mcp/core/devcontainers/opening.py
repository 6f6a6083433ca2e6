"""Opens the dev containers of a server: the list that is kept, the execds in them, the jobs that change them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.kept import open_kept
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.jobs import JobBounds, open_jobs

BOUNDS = JobBounds(deadline_s=3600.0)  # a build without cache of a large image, and hooks that install much


@asynccontextmanager
async def open_devcontainers(
    ground: Ground, on_change: Callable[[], None], bounds: JobBounds = BOUNDS
) -> AsyncGenerator[DevContainers]:
    """Own the tasks; leaving the block cancels what is being made. Dev containers outlive it."""
    async with open_kept(ground, on_change) as kept, open_jobs(bounds) as jobs:
        yield DevContainers(ground, kept, jobs)
