"""Whether a container was given the directories that were checked: the engine follows a path again, and later than we.

Asked of the execd in it, once for each start. Single files are not compared: an editor that saves one puts another in
its place, while the container keeps the old one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from posixpath import split

import anyio
import anyio.to_thread

from ws_mcp.core.errors import ForbiddenError, PlaceUnavailableError, WsError
from ws_mcp.core.execd import files
from ws_mcp.core.execd.client import STREAM_ERRORS, ExecdClient
from ws_mcp.core.execd.files import FileKind
from ws_mcp.core.host.model import Given

log = logging.getLogger(__name__)

ANSWER_S = 10.0
Connected = Callable[[], AbstractAsyncContextManager[ExecdClient]]
"""Connects to the execd of a container."""
BOOT = ("/proc/sys/kernel/random", "boot_id")


async def check_given(connected: Connected, given: Sequence[Given], boot: Path = Path(*BOOT)) -> None:
    """That what the engine mounted is what was checked, as far as it can be told.

    Raises:
        ForbiddenError: it is not.
        PlaceUnavailableError: its execd does not answer.
    """
    others: tuple[str, ...] | None = None if given else ()
    with anyio.move_on_after(ANSWER_S):
        try:
            if given:
                async with connected() as client:
                    others = await _others(client, given, boot)
        except* (WsError, *STREAM_ERRORS) as group:
            log.info("what is mounted in a container cannot be asked: %s", group.exceptions[0])
    if others is None:
        raise PlaceUnavailableError("its execd does not say what is mounted there")
    if others:
        raise ForbiddenError(
            f"at {', '.join(others)} another directory is mounted than its source leads to now: it was changed while "
            "it was mounted, or since. Look at who else writes there, then call recreate_devcontainer"
        )


async def _others(client: ExecdClient, given: Sequence[Given], boot: Path) -> tuple[str, ...]:
    # Numbers of files mean something under one kernel only.
    if not await _is_same_kernel(client, boot):
        return ()
    found = [(each.target, await _is_other(client, each)) for each in given]
    return tuple(target for target, is_other in found if is_other)


async def _is_other(client: ExecdClient, given: Given) -> bool:
    try:
        status = await files.stat(client, *split(given.target))
    except WsError as error:
        log.info("what is mounted at %s cannot be looked at: %s", given.target, error)
        return False
    is_directory = given.is_directory or status.kind is FileKind.DIRECTORY
    return is_directory and (status.device, status.inode) != (given.device, given.inode)


async def _is_same_kernel(client: ExecdClient, boot: Path) -> bool:
    try:
        own = await anyio.to_thread.run_sync(boot.read_bytes)
        return (await files.read_file(client, *BOOT)).content.strip() == own.strip()
    except (OSError, WsError) as error:
        log.info("whether a container is on this machine cannot be told: %s", error)
        return False
