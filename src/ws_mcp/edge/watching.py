"""What a client may watch, and which of its own addresses a list of resources names."""

from __future__ import annotations

from mcp.server.context import CallNext, HandlerResult

from ws_mcp.core.errors import WsError
from ws_mcp.edge.identity import Identity, Request
from ws_mcp.edge.notifier import DEVCONTAINERS, TopicOf
from ws_mcp.edge.uris import LOGS, address_of, processes_uri


def topics(identity: Identity) -> TopicOf:
    """The topic of an address for the caller: another's chat and none at all are the same."""

    async def topic_of(uri: str) -> str | None:
        address = address_of(uri)
        if address is None:
            return None
        if not address.chat and address.topic in (DEVCONTAINERS, LOGS):
            return address.topic  # of all chats
        caller = await identity.caller(address.chat)
        return " ".join(part for part in (address.topic, caller.scope.chat, address.process) if part)

    return topic_of


class OwnResources:
    """Middleware that adds the process list of the caller's default chat to `resources/list`.

    Half of the hosts show no templates, so what should be found must be listed.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "resources/list" and isinstance(result, dict):
            try:
                chat = await self._identity.look()
            except WsError:
                return result  # nothing says which chat is meant: only what all have is listed
            own = {
                "uri": processes_uri(chat.handle),
                "name": "processes",
                "title": "Processes of this chat",
                "description": "Processes of this chat in all its workspaces, running first, newest first.",
                "mimeType": "application/json",
            }
            result["resources"] = [*result.get("resources", []), own]
        return result
