"""What the SDK does not do for subscriptions of clients before 2026-07-28: sending to them, and saying so at first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from mcp.server.context import HandlerResult
from mcp.server.session import ServerSession
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated, ServerEvent


def legacy_sender(session: ServerSession) -> Callable[[ServerEvent], Awaitable[None]]:
    """Sends an event in the words of the older protocol."""

    async def send(event: ServerEvent) -> None:
        if isinstance(event, ResourceUpdated):
            await session.send_resource_updated(event.uri)
        elif isinstance(event, ResourcesListChanged):
            await session.send_resource_list_changed()
        elif isinstance(event, PromptsListChanged):
            await session.send_prompt_list_changed()
        else:
            await session.send_tool_list_changed()

    return send


def with_subscriptions(result: HandlerResult) -> HandlerResult:
    """The finished answer to `initialize`, saying what our middleware adds."""
    assert isinstance(result, dict)
    capabilities = cast("dict[str, dict[str, Any]]", result.setdefault("capabilities", {}))
    capabilities.setdefault("resources", {}).update(subscribe=True, listChanged=True)
    capabilities.setdefault("tools", {}).update(listChanged=True)
    return result
