"""Notices what comes without an event: edits on the disk, new definitions, what other servers recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.errors import WsError

log = logging.getLogger(__name__)

POLL_S = 2.0  # clients do not notice 2 s
RETRY_S = 1.0  # until a definition that is half written is looked at again


async def poll_on(ground: Ground, keys: Callable[[], Sequence[Key]], changed: Callable[[], None]) -> None:
    """Say so each time that something may be another than before. `keys`: of those that have a container."""
    before = None
    while True:
        now = await _stamp(ground, keys())
        if before is not None and now != before:
            changed()
        before = now
        await anyio.sleep(POLL_S)


async def _stamp(ground: Ground, keys: Sequence[Key]) -> tuple[object, ...]:
    errors: object = None
    try:
        errors = sorted((await ground.records.errors()).items())
    except WsError as error:
        log.info("what other servers recorded cannot be read now: %s", error)
    return await ground.definitions.stamps(keys), await ground.definitions.discover(), errors
