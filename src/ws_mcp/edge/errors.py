"""What a failure looks like to a client: expected ones as they are worded, our own bugs as a reference only."""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import ParamSpec

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import CallToolResult, TextContent

from ws_mcp.core.errors import (
    ConflictError,
    DamagedStateError,
    EngineTimeoutError,
    EngineUnavailableError,
    ForbiddenError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    PlaceUnavailableError,
    StorageFullError,
    WsError,
)
from ws_mcp.edge.deadlines import OverdueError

P = ParamSpec("P")

log = logging.getLogger(__name__)

CODE = "dev.ws-mcp/code"
CODES = {
    InvalidArgumentError: "invalid_argument",
    ForbiddenError: "permission_denied",
    NotFoundError: "not_found",
    ConflictError: "failed_precondition",
    LimitError: "resource_exhausted",
    EngineUnavailableError: "unavailable",
    PlaceUnavailableError: "unavailable",
    EngineTimeoutError: "deadline_exceeded",
    OverdueError: "deadline_exceeded",
    StorageFullError: "storage_full",
    DamagedStateError: "data_loss",
}
"""The kinds of failures for programs, in the words of gRPC's status codes, and one that they lack: nothing can be
written down, for want of room or of a disk that takes it."""
OTHER = "unknown"
BUG = "internal"


def code_of(error: WsError) -> str:
    """Which kind of failure it is."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), OTHER)


def failed(text: str, code: str) -> CallToolResult:
    """A failed tool result with exactly this text; the SDK's own puts "Error executing tool" before it."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, _meta={CODE: code})


def bug(where: str, error: Exception) -> str:
    """Log an unexpected exception, whole; returns a text that gives nothing of it away."""
    reference = f"e_{secrets.token_hex(4)}"
    log.error("%s failed by a bug of ws-mcp, reference %s", where, reference, exc_info=error)
    return (
        f"{where} failed inside ws-mcp (reference {reference}, details are in the server's log). What it did before "
        "is not known: look with list_processes or list_containers before you repeat it"
    )


def failure_of(tool: str, error: Exception, clean: Callable[[str], str]) -> CallToolResult:
    """What a tool answers that failed by `error`."""
    if isinstance(error, WsError):
        return failed(clean(str(error)), code_of(error))
    return failed(bug(tool, error), BUG)


def reads(function: Callable[P, Awaitable[str | bytes]]) -> Callable[P, Awaitable[str | bytes]]:
    """A resource function whose expected failures become the protocol's resource errors."""

    @functools.wraps(function)
    async def read(*args: P.args, **kwargs: P.kwargs) -> str | bytes:
        try:
            return await function(*args, **kwargs)
        except (NotFoundError, InvalidArgumentError) as error:
            raise ResourceNotFoundError(str(error)) from error
        except WsError as error:
            raise ResourceError(str(error)) from error

    return read
