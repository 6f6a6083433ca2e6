"""T31: a web page, or a name that somebody points at this machine, gets no answer, with a token or without."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from starlette.types import Message, Receive, Scope, Send
from support.http_ground import (
    HELLO,
    Reply,
    ask,
    modern,
    modern_headers,
    open_http_ground,
    record_for,
    token_for,
    write_tokens,
)
from support.serving_child import open_child_http

from ws_mcp.edge.http_choices import HttpChoices, names_of
from ws_mcp.edge.http_door import Door

HOSTS = (
    "evil.test",
    "evil.test:{port}",
    "127.0.0.1.evil.test",
    "127.0.0.1.evil.test:{port}",
    "evil.test@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.test",
    "127.0.0.1:{port}/evil.test",
    "a/?x=",
    "localhost:x",
    "localhost:{port}:80",
    "",
    "0.0.0.0:{port}",
)
ORIGINS = (
    "null",
    "http://evil.test",
    "http://127.0.0.1:1",
    "https://127.0.0.1:{port}",
    "http://localhost",
    "http://127.0.0.1.evil.test:{port}",
    "http://127.0.0.1:{port}.evil.test",
    "file://",
)
NEW = (modern("tools/list"), modern_headers("tools/list"))
ERAS = {"legacy": (HELLO, dict[str, str]()), "2026-07-28": NEW}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("token", [token_for("alice"), ""])
async def test_other_hosts_and_origins_are_refused_before_anything_else(
    era: str, token: str, tmp_path: Path, real_io: None
) -> None:
    message, headers = ERAS[era]

    async def told(url: str, **more: str) -> Reply:
        return await anyio.to_thread.run_sync(partial(ask, url, message, token=token, **{**headers, **more}))

    with anyio.fail_after(60):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            port = urlsplit(ground.url).port
            for host in HOSTS:
                assert (await told(ground.url, Host=host.format(port=port))).status == 421, host
            for origin in ORIGINS:
                assert (await told(ground.url, Origin=origin.format(port=port))).status == 403, origin
            served = 200 if token else 401
            for own in ("localhost:9000", f"127.0.0.1:{port}", "[::1]"):  # a port may be forwarded
                assert (await told(ground.url, Host=own)).status == served, own
            for own in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
                assert (await told(ground.url, Origin=own)).status == served, own
            assert (await told(ground.url, Content_Type="text/plain")).status in (400, 401)
            reply = await anyio.to_thread.run_sync(partial(ask, ground.url, b"", method="OPTIONS", token=token))
            assert not [name for name in reply.headers if name.lower().startswith("access-control")]


async def test_the_page_is_given_under_the_names_of_its_server_only(tmp_path: Path, real_io: None) -> None:
    async def got(url: str, **more: str) -> int:
        return (await anyio.to_thread.run_sync(partial(ask, url, b"", method="GET", **more))).status

    with anyio.fail_after(60):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            root, port = ground.url.removesuffix("mcp"), urlsplit(ground.url).port
            assert await got(root) == 200
            for host in HOSTS:
                assert await got(root, Host=host.format(port=port)) == 421, host
            for origin in ORIGINS:
                assert await got(root, Origin=origin.format(port=port)) == 403, origin


def raw(url_or_path: str, text: str) -> bytes:
    """The first line of the answer to a request as it is."""
    is_path = url_or_path.startswith("/")
    family = socket.AF_UNIX if is_path else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        place = urlsplit(url_or_path)
        connection.connect(url_or_path if is_path else (place.hostname, place.port))
        connection.sendall(text.encode())
        return connection.recv(65536).partition(b"\r\n")[0]


def test_the_checks_hold_on_a_unix_socket_too(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with open_child_http(f"unix={path}"):
        get = "GET /mcp HTTP/1.1\r\nHost: {}\r\n{}\r\n"
        assert b"421" in raw(str(path), get.format("evil.test", ""))
        assert b"403" in raw(str(path), get.format("localhost", "Origin: http://localhost:3000\r\n"))
        assert b"421" not in raw(str(path), get.format("localhost", "Accept: text/event-stream\r\n"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 421),
        ([("host", "localhost"), ("host", "localhost")], 421),
        ([("host", "localhost"), ("origin", "http://localhost:1"), ("origin", "http://localhost:1")], 403),
        ([("host", "localhost"), ("authorization", "Bearer a"), ("authorization", "Bearer b")], 400),
        ([("host", "localhost"), ("origin", "http://localhost:1"), ("authorization", "Bearer a")], 204),
    ],
)
async def test_what_is_said_twice_or_not_at_all_is_not_believed(headers: list[tuple[str, str]], status: int) -> None:
    said = list[int]()

    async def inside(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if "status" in message:
            said.append(message["status"])

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return {"type": "http.request"}

    scope = {"type": "http", "path": "/mcp", "query_string": b"", "method": "GET"}
    door = Door(inside, names_of(HttpChoices(port=1), 1))
    await door({**scope, "headers": [(name.encode(), value.encode()) for name, value in headers]}, receive, send)
    assert said == [status]


def test_two_hosts_in_one_request_are_none(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", record_for("alice"))
    with open_child_http(f"tokens={tokens}") as server:
        two = "GET /mcp HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n"
        assert b" 4" in raw(server.url, two)
        assert ask(server.url, token=token_for("alice")).status == 200
