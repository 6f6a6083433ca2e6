"""Work that is done every so often as long as a server lives, whatever becomes of it this time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.observed import Observed

log = logging.getLogger(__name__)


async def repeat(what: str, every_s: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do it now, and again `every_s` after its end; a failure is logged and is no reason to stop."""
    while True:
        try:
            with Observed("work", what):
                await work()
        except WsError as error:
            log.info("%s is not possible now: %s", what, error)
        except Exception:
            # A bug in work of the background must not end the server.
            log.exception("%s failed", what)
        await anyio.sleep(every_s)
