"""What a dev container's definition does, as a test says it; for the fake CLI and, written down, for the real one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.images import BUSYBOX
from ws_mcp.core.devcontainers.model import Phase
from ws_mcp.core.devcontainers.port import CliCall

OK, FAILS, HANGS = "ok", "fails", "hangs"
During = Callable[[CliCall, Phase], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a definition does: each of its hooks, and its build ("" = it has none), goes well, fails or hangs."""

    hooks: Mapping[Phase, str] = field(default_factory=dict[Phase, str])
    build: str = ""
    is_missing: bool = False
    is_cut_off: bool = False
    # Of the fake only:
    initialize: str = ""
    image: str = BUSYBOX
    user: str = "root"
    project: str = ""  # of compose
    warnings: tuple[str, ...] = ()
    merged: Mapping[str, Any] = field(default_factory=dict[str, Any])
    creates_hanging: bool = False  # the container runs, but the CLI missed its start


async def nothing(call: CliCall, phase: Phase) -> None:
    """Nobody does anything meanwhile."""
