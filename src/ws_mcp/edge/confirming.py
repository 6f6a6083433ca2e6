"""Asks the person at the host before something is done, in both protocol eras.

Older clients are asked in the middle of the call; those of 2026-07-28 get the question as the answer, and call again
with what the person said. The SDK pins an answer to the very words of its question.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, cast

import anyio
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve, build_resolver_plans, resolve_arguments
from mcp.types import InputRequiredResult
from pydantic import BaseModel, Field

from ws_mcp.core.errors import ForbiddenError, WsError

ASK_S = 300.0  # how long a person may think in the middle of a call; hosts give it up long before

Question = Callable[[Mapping[str, object]], Awaitable[str]]
"""What is to be confirmed of a call with these arguments; "" if nothing is."""


class Confirm(StrEnum):
    """Whether the person is asked."""

    NEVER = "never"
    AUTO = "auto"  # where the client can ask; others are let through
    ALWAYS = "always"  # others are refused


ConfirmNow = Callable[[], Confirm]
"""Whether the person is asked at this moment, for a policy can be read again."""


def never() -> Confirm:
    """They are not."""
    return Confirm.NEVER


class Confirmation(BaseModel):
    """What the person is asked for."""

    confirm: Annotated[bool, Field(description="Yes, do it")] = False


class UnansweredError(WsError):
    """The person is to be asked first: `asked` is the answer that makes the client do so, and call again."""

    def __init__(self, asked: InputRequiredResult) -> None:
        super().__init__("the person at the host is asked first; nothing was done yet")
        self.asked = asked


class NotConfirmedError(ForbiddenError):
    """The person did not say yes."""


async def confirm(how: Confirm, text: str, context: Context[Any, Any]) -> None:
    """Return when the person has said yes, or need not be asked.

    Raises:
        UnansweredError: they are asked when this reaches the client.
        NotConfirmedError: they said no, or nothing, or cannot be asked.
    """
    if not _can_ask(context):
        if how is Confirm.ALWAYS:
            raise NotConfirmedError(
                "this server asks the person at the host before it does this, and your client cannot ask; nothing was "
                "done. The person can do it with ws-mcp on the command line, or let the operator choose --confirm auto"
            )
        return

    async def ask(_: Context[Any, Any]) -> Elicit[Confirmation]:
        return Elicit(text, Confirmation)

    wanted = {"answer": (Resolve(ask), True)}
    found: dict[str, Any] | InputRequiredResult = {}
    with anyio.move_on_after(ASK_S):
        try:
            found = await resolve_arguments(wanted, build_resolver_plans(wanted, set()), {}, context)
        except ToolError as error:
            raise NotConfirmedError("what the client said for the person cannot be read; nothing was done") from error
    if isinstance(found, InputRequiredResult):
        raise UnansweredError(found)
    answer = cast("ElicitationResult[Confirmation] | None", found.get("answer"))
    if not (isinstance(answer, AcceptedElicitation) and answer.data.confirm):
        raise NotConfirmedError(
            "the person at the host did not say yes; nothing was done. Ask them in words before you try it again"
        )


def _can_ask(context: Context[Any, Any]) -> bool:
    capabilities = context.client_capabilities
    asking = capabilities.elicitation if capabilities is not None else None
    return asking is not None and (asking.form is not None or asking.url is None)
