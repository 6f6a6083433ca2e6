"""Pulls an image, over a connection of our own: whoever is cancelled closes it, and so the engine stops pulling."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from urllib.parse import urlencode

import anyio

from ws_mcp.core.engine.connection import HttpConnection, Target, handshake, refusal
from ws_mcp.core.engine.faults import Call, error_of
from ws_mcp.core.engine.port import Report
from ws_mcp.core.engine.progress import PullProgress
from ws_mcp.core.engine.record import Record
from ws_mcp.core.engine.transport import open_transport
from ws_mcp.core.errors import EngineTimeoutError

PULLED = "the image is here"
LEAST_STEP = 0.01  # what is less is not reported: engines tell of every few KiB


async def pull(target: Target, image: str, report: Report, *, platform: str, login: str, deadline_s: float) -> None:
    """See `Engine.pull`; `login` is what the engine shows to the registry, "" for nothing.

    Whether what came is for `platform` is not looked at: engines take an image that is for one platform only.
    """
    try:
        with anyio.fail_after(deadline_s):
            await _pull(target, image, platform, login, report)
    except TimeoutError as error:
        raise EngineTimeoutError(f"image {image!r} was not pulled within {deadline_s:.0f} s; call again") from error


async def _pull(target: Target, image: str, platform: str, login: str, report: Report) -> None:
    progress, reported = PullProgress(), ("", -1.0)
    async with AsyncExitStack() as stack:
        with handshake(target):
            connection = HttpConnection(await stack.enter_async_context(open_transport(target.endpoint)), target)
            fields = {"X-Registry-Auth": login} if login else {}
            head = await connection.request("POST", _path(image, platform), fields=fields)
            if head.status != 200 or not head.is_chunked:
                raise await refusal(connection, head, Call.PULL, image)
        lines = await stack.enter_async_context(aclosing(connection.lines()))
        while (told := await _next(target, lines)) is not None:
            if told.text("error"):
                raise error_of(Call.PULL, image, head.status, told.text("error"))
            phase, fraction = progress.feed(told)
            if phase != reported[0] or fraction >= reported[1] + LEAST_STEP:
                reported = (phase, fraction)
                await report(*reported)
    await report(PULLED, 1.0)


async def _next(target: Target, lines: AsyncGenerator[bytes]) -> Record | None:
    with handshake(target):
        line = await anext(lines, None)
        return None if line is None else Record(json.loads(line) if line.strip() else None)


def _path(image: str, platform: str) -> str:
    query = {"fromImage": image}
    if "@" not in image and ":" not in image.rpartition("/")[2]:
        # Without it the engine pulls all tags.
        query["tag"] = "latest"
    if platform:
        query["platform"] = platform
    return f"/images/create?{urlencode(query)}"
