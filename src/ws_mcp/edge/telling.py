"""A listener of its own for machines that look after this server: a few pages, read-only, for who may.

On a unix socket the other side must be the same user (or root); on a loopback address it has to show a token, as
clients of MCP have to.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.policy.auth import is_loopback
from ws_mcp.edge.http_listening import peer_uid

HEAD_BYTES = 20_480  # a token has up to 16,384 characters
REQUEST_S = 5.0  # from the first byte to the last of the answer
TURNS_S = 0.005  # in which the event loop turns a few times
END_S = 0.5  # for open connections, when the server ends
AT_ONCE = 16  # connections; the next ones are closed
UNIX = "unix:"
BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer."""

    status: int
    text: str
    kind: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Awaitable[Page]]]
Check = Callable[[str], Awaitable[bool]]
"""Whether a bearer token lets in."""
_WORDS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}


@asynccontextmanager
async def open_telling(where: str, pages: Pages, check: Check | None) -> AsyncGenerator[str]:
    """Serve `pages` at `where` (`ADDRESS:PORT` or `unix:/PATH`) as long as the block runs; yields the address.

    Raises:
        InvalidArgumentError: it is no address of the loopback, is taken, or there are no tokens to ask for.
    """
    is_unix = where.startswith(UNIX)
    if not is_unix and check is None:
        raise InvalidArgumentError(
            "metrics on an address need tokens, which this server does not have: serve them at unix:/PATH"
        )
    listener = await (_unix(Path(where.removeprefix(UNIX))) if is_unix else _loopback(where))
    open_now: set[SocketStream] = set()

    async def serve(stream: SocketStream) -> None:
        async with stream:
            if len(open_now) >= AT_ONCE:
                return
            open_now.add(stream)
            try:
                with anyio.move_on_after(REQUEST_S):
                    await _answer(stream, pages, None if is_unix else check)
            except BROKEN:
                return
            finally:
                open_now.discard(stream)

    try:
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            port = 0 if is_unix else listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
            yield where if is_unix else f"http://{where.rpartition(':')[0]}:{port}"
            await _close(open_now)
            tasks.cancel_scope.cancel()
    finally:
        if is_unix:
            _remove(Path(where.removeprefix(UNIX)))


async def _close(streams: set[SocketStream]) -> None:
    # What is readable in the very turn in which its task is cancelled makes anyio 4.16 log an error: let each see its
    # end first, and let those that wait in the listener come out.
    with anyio.move_on_after(END_S, shield=True):
        for stream in tuple(streams):
            await stream.aclose()
        await anyio.sleep(TURNS_S)
        while streams:  # noqa: ASYNC110 - they go by themselves
            await anyio.sleep(TURNS_S)


async def _answer(stream: SocketStream, pages: Pages, check: Check | None) -> None:
    page = Page(status=401, text="this is somebody else's\n")
    if check is not None or _is_same_user(stream):
        page = await _page(await _head(stream), pages, check)
    body = page.text.encode()
    lines = (
        f"HTTP/1.1 {page.status} {_WORDS.get(page.status, 'Unavailable')}",
        f"Content-Type: {page.kind}",
        f"Content-Length: {len(body)}",
        *(("WWW-Authenticate: Bearer",) if page.status == 401 else ()),
        "Cache-Control: no-store",
        "Connection: close",
    )
    await stream.send("\r\n".join((*lines, "", "")).encode() + body)


async def _page(head: bytes, pages: Pages, check: Check | None) -> Page:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return Page(status=400, text="no request of HTTP/1.1\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if check is not None and not await check(_bearer(fields.get("authorization", ""))):
        return Page(status=401, text="a token is needed: Authorization: Bearer TOKEN\n")
    method, path, _ = words
    if method != "GET":
        return Page(status=405, text="only GET\n")
    return await pages[path]() if path in pages else Page(status=404, text=f"there are: {', '.join(pages)}\n")


def _bearer(field: str) -> str:
    scheme, _, token = field.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _head(stream: SocketStream) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and len(received) < HEAD_BYTES:
        received += await stream.receive(HEAD_BYTES)
    head, is_whole, _ = received.partition(b"\r\n\r\n")
    return head if is_whole else b""


def _is_same_user(stream: SocketStream) -> bool:
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
    return peer_uid(raw) in (0, os.getuid())


async def _loopback(where: str) -> SocketListener:
    host, _, port = where.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if not is_loopback(host) or int(port) > 65535:
        raise InvalidArgumentError(f"metrics cannot be served at {where!r}: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH")
    try:
        multi = await anyio.create_tcp_listener(local_host=host, local_port=int(port))
    except OSError as error:
        raise InvalidArgumentError(f"metrics cannot be served at {where}: {error.strerror}") from error
    return cast("SocketListener", multi.listeners[0])


async def _unix(path: Path) -> SocketListener:
    if _is_socket(path):
        if await _answers(path):
            raise InvalidArgumentError("the socket for metrics is another server's; give this one another path")
        _remove(path)
    try:
        return await anyio.create_unix_listener(path, mode=0o600)
    except OSError as error:
        raise InvalidArgumentError(f"the socket for metrics cannot be made: {error.strerror}") from error


def _is_socket(path: Path) -> bool:
    return not path.is_symlink() and path.is_socket()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _answers(path: Path) -> bool:
    try:
        await (await anyio.connect_unix(path)).aclose()
    except OSError:
        return False
    return True
