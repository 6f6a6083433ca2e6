"""The body of a request, looked at before the protocol parses it: what is no message is answered here."""

from __future__ import annotations

from mcp.types import JSONRPCError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ws_mcp.edge.http_choices import PATH
from ws_mcp.edge.messages import parsed


class Bodies:
    """Stands behind what reads bodies whole, and bounds them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        whole: Message | None = await receive()
        if whole["type"] != "http.request" or whole.get("more_body", False):
            return  # the client went away in the middle of it
        refusal = _refusal_of(whole.get("body", b""))
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def again() -> Message:
            nonlocal whole
            message, whole = whole, None
            return message or await receive()

        await self._app(scope, again, send)


def _refusal_of(body: bytes) -> Response | None:
    found = parsed(body, is_whole=True)
    if not isinstance(found, JSONRPCError):
        return None
    text = found.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(text, 400, media_type="application/json")
