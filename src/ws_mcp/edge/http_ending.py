"""Calls over HTTP that are under way when serving ends: their time, and what is answered to those that need longer.

uvicorn would cancel them as if they had failed, and log each with its whole stack.
"""

from __future__ import annotations

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSING = b"this server is closing: call again when there is one\n"


class Ending:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        with anyio.CancelScope() as call:
            self._open.add(call)
            try:
                await self._app(scope, receive, noted)
            finally:
                self._open.discard(call)
        if call.cancelled_caught:
            await _answer(send, has_begun=has_begun)

    async def end(self, within_s: float) -> None:
        """Give all calls that are open so long, then end them."""
        await anyio.sleep(within_s)
        for call in tuple(self._open):
            call.cancel()


async def _answer(send: Send, *, has_begun: bool) -> None:
    if not has_begun:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(CLOSING))]
        await send({"type": "http.response.start", "status": 503, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"" if has_begun else CLOSING})
