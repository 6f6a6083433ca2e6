"""The page over HTTP: for everybody at `/`, with headers that let it run itself and ask this server, nothing else."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import cache

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ws_mcp.edge.page import page

PATH = "/"


class Page:
    """The layer before the tokens: who has none needs the page to give one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["path"] == PATH and scope["method"] in ("GET", "HEAD")
        await (Response(page(), headers=headers()) if is_page else self._app)(scope, receive, send)


@cache
def headers() -> dict[str, str]:
    """What a browser is told. By their hashes the one script and the one style of the file are all that may run."""
    policy = (
        "default-src 'none'",
        f"script-src '{_hash_of('script')}'",
        f"style-src '{_hash_of('style')}'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",  # a new version of the server has a page that fits it
    }


def _hash_of(tag: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page(), re.DOTALL)
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
