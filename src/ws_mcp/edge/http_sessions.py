"""Sessions of clients of the older era: how many each principal may have open, so that nobody locks others out.

The SDK counts all of them together. It ends one when its client says so, or after 30 idle minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.tokens import MAX_TOKENS
from ws_mcp.edge.http_choices import PATH
from ws_mcp.edge.http_streams import principal_of

MAX_SESSIONS = 1000  # then only who has none may open one
MAX_OF_ONE = 250
MOST = MAX_SESSIONS + MAX_TOKENS  # for the SDK: one more for each principal that a tokens file can name

SESSION, VERSION = "mcp-session-id", "mcp-protocol-version"


class Sessions:
    """Stands behind the authentication and before the protocol. `open_now`: ids of the sessions that the SDK has."""

    def __init__(self, app: ASGIApp, open_now: Callable[[], Collection[str]]) -> None:
        self._app = app
        self._open_now = open_now
        self._owners: dict[str, PrincipalId] = {}
        self._opening = Counter[PrincipalId]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_opening(scope):
            await self._app(scope, receive, send)
            return
        who = principal_of(scope)
        if problem := self._problem(who):
            await PlainTextResponse(f"{problem}\n", 429)(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                session = Headers(raw=message["headers"]).get(SESSION)
                if session is not None:
                    self._owners[session] = who
            await send(message)

        self._opening[who] += 1
        try:
            await self._app(scope, receive, watched)
        finally:
            self._opening[who] -= 1

    def _problem(self, who: PrincipalId) -> str:
        """Why this principal may not open one more now, or ""."""
        still = self._open_now()
        self._owners = {session: owner for session, owner in self._owners.items() if session in still}
        self._opening = +self._opening
        held = Counter(self._owners.values()) + self._opening
        if held[who] >= MAX_OF_ONE:
            return f"{held[who]} of your sessions are open, as many as one may have; end one with DELETE"
        if held[who] and held.total() >= MAX_SESSIONS:
            return "as many sessions are open as there may be, and some are yours; end one with DELETE, or wait"
        return ""


def is_opening(scope: Scope) -> bool:
    """Whether a request would open a session, by the SDK's reading: of the older era, and in none."""
    if scope["type"] != "http" or scope["path"] != PATH:
        return False
    headers = Headers(scope=scope)
    version = headers.get(VERSION)
    return SESSION not in headers and (version is None or version in HANDSHAKE_PROTOCOL_VERSIONS)
