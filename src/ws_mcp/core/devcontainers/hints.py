"""What the CLI does not say of a folder whose dev container works, but not as its owner may expect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

WORKTREE = (
    "its folder is a git worktree: git does not work in the container, since the repository is outside of the folder; "
    "make a dev container of the repository's own folder, or a workspace of the worktree"
)

Hints = Callable[[str], Awaitable[tuple[str, ...]]]
"""The hints on a folder."""


async def no_hints(_: str) -> tuple[str, ...]:
    """None."""
    return ()


async def hints_of(folder: str) -> tuple[str, ...]:
    """Of a folder of this machine."""
    return (WORKTREE,) if await anyio.Path(folder, ".git").is_file() else ()
