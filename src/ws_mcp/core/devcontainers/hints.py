"""What the CLI does not say of a definition that will work, but not as its author may expect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ws_mcp.core.devcontainers.policy import unmet_requirements
from ws_mcp.core.devcontainers.port import Definition
from ws_mcp.core.engine.port import Engine

WORKTREE = (
    "its folder is a git worktree: git does not work in the container, since the repository is outside of the folder; "
    "make a dev container of the repository's own folder, or a workspace of the worktree"
)

Hints = Callable[[Definition], Awaitable[tuple[str, ...]]]
"""The hints on a definition."""


async def no_hints(_: Definition) -> tuple[str, ...]:
    """None."""
    return ()


def hints_on(engine: Engine) -> Hints:
    """Of the machine that the engine is on, and of the folder."""

    async def hints(definition: Definition) -> tuple[str, ...]:
        unmet = unmet_requirements(definition.properties, await engine.info())
        is_worktree = await anyio.Path(definition.key.folder, ".git").is_file()
        return (*unmet, WORKTREE) if is_worktree else unmet

    return hints
