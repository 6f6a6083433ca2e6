"""What every request passes before anything else looks at it: whom it calls, from which page, no token in its URL."""

from __future__ import annotations

import logging
import re
from urllib.parse import parse_qsl, unquote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ws_mcp.core.policy.tokens import PREFIX
from ws_mcp.edge.http_choices import Names

TOKEN_WORDS = frozenset(
    {"token", "access_token", "id_token", "auth_token", "bearer", "api_key", "apikey", "authorization"}
)
_TOKEN = re.compile(rf"{PREFIX}|eyJ[\w-]+\.[\w-]+\.[\w-]*")

log = logging.getLogger(__name__)


class Door:
    """The outermost layer of the HTTP application."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._names.has_host(hosts[0]):
            log.warning("a request for another host was refused")
            return PlainTextResponse("this server is not called so\n", 421)
        if len(origins) > 1 or not self._names.origins.issuperset(origins):
            log.warning("a request from a page of another origin was refused")
            return PlainTextResponse("pages of this origin may not ask\n", 403)
        if has_token(scope["path"], scope["query_string"].decode("latin-1")):
            log.warning("a token was seen in a URL and refused: who logs URLs has it now; revoke it")
            return PlainTextResponse(
                "a token belongs into the Authorization header, never into a URL; revoke it\n", 400
            )
        if len(headers.getlist("authorization")) > 1:
            return PlainTextResponse("one Authorization header, not several\n", 400)
        return None


def has_token(path: str, query: str) -> bool:
    """Whether a URL carries something that is called a token, or looks like one."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    if any(name.lower() in TOKEN_WORDS for name, _ in pairs):
        return True
    return any(_TOKEN.search(text) for text in (unquote(path), unquote(query), *(value for _, value in pairs)))
