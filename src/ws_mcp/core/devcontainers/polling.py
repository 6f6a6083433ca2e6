"""Notices what comes without an event: edits on the disk, new definitions, what other servers recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.repeat import repeat

POLL_S = 2.0  # clients do not notice 2 s
RETRY_S = 1.0  # until a definition that is half written is looked at again


async def poll_on(ground: Ground, keys: Callable[[], Sequence[Key]], changed: Callable[[], None]) -> None:
    """Say so each time that something may be another than before. `keys`: of those that have a container."""
    before: tuple[object, ...] = ()

    async def poll() -> None:
        nonlocal before
        definitions = ground.definitions
        stamps, found = await definitions.stamps(keys()), await definitions.discover()
        now = stamps, found, sorted((await ground.records.errors()).items())
        if before and now != before:
            changed()
        before = now

    await repeat("the poll of dev containers", POLL_S, poll)
