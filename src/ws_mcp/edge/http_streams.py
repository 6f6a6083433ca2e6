"""Streams that stay open to tell of changes: how many each principal may have, and that they end with its token."""

from __future__ import annotations

from contextlib import ExitStack

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ws_mcp.core.errors import LimitError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.edge.bearer import ProvenToken
from ws_mcp.edge.guards import HoldStream
from ws_mcp.edge.http_choices import PATH
from ws_mcp.edge.identity import local_principal

LOOK_EVERY_S = 15.0  # a revoked token ends its streams by then; it gets nothing more from the next change on


class Streams:
    """Stands behind the authentication and before the protocol."""

    def __init__(self, app: ASGIApp, hold: HoldStream) -> None:
        self._app = app
        self._hold = hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["path"] == PATH
        if not (is_ours and is_stream(scope["method"], Headers(scope=scope))):
            await self._app(scope, receive, send)
            return
        with ExitStack() as place:
            try:
                place.enter_context(self._hold(principal_of(scope)))
            except LimitError as error:
                await PlainTextResponse(f"{error}\n", 429)(scope, receive, send)
                return
            await self._serve(token_of(scope), scope, receive, send)

    async def _serve(self, token: ProvenToken | None, scope: Scope, receive: Receive, send: Send) -> None:
        if token is None:  # a unix socket: who is there cannot change
            await self._app(scope, receive, send)
            return
        is_begun, is_ended = False, False

        async def watched(message: Message) -> None:
            nonlocal is_begun, is_ended
            is_begun = True
            is_ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        async with anyio.create_task_group() as tasks:

            async def look() -> None:
                while True:
                    await anyio.sleep(LOOK_EVERY_S)
                    if not token.stands():
                        tasks.cancel_scope.cancel()

            tasks.start_soon(look)
            await self._app(scope, receive, watched)
            tasks.cancel_scope.cancel()
        if is_begun and not is_ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def is_stream(method: str, headers: Headers) -> bool:
    """Whether a request opens one: GET in the older era; the newer one names its method, and the SDK compares it."""
    return method == "GET" or headers.get("mcp-method", "").strip() == "subscriptions/listen"


def principal_of(scope: Scope) -> PrincipalId:
    """Who makes a request: by its token, or at a unix socket who this server runs as."""
    token = token_of(scope)
    return (token.principal if token else local_principal()).id


def token_of(scope: Scope) -> ProvenToken | None:
    """The token of a request."""
    user = scope.get("user")
    found = user.access_token if isinstance(user, AuthenticatedUser) else None
    return found if isinstance(found, ProvenToken) else None
