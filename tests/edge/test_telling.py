"""The listener for machines that look after a server: it tells those who may ask, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.edge.telling import AT_ONCE, Page, open_telling

pytestmark = pytest.mark.usefixtures("real_io_both")
TOKEN = "the-right-token"


async def told() -> Page:
    return Page(status=200, text="told\n")


async def is_right(token: str) -> bool:
    return token == TOKEN


@asynccontextmanager
async def open_tcp() -> AsyncGenerator[int]:
    async with open_telling("127.0.0.1:0", {"/livez": told}, is_right) as where:
        yield int(where.rpartition(":")[2])


async def read_all(stream: SocketStream) -> str:
    received = b""
    try:
        while True:
            received += await stream.receive()
    except anyio.EndOfStream:
        return received.decode()


async def ask(port: int, request: str) -> str:
    with anyio.fail_after(30):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(request.encode())
            return await read_all(stream)


async def send_on(stream: SocketStream) -> None:
    with anyio.fail_after(30):
        while True:
            await stream.send(b"x" * 8192)


def get(path: str = "/livez", token: str = TOKEN) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"


async def test_who_has_a_token_is_told() -> None:
    async with open_tcp() as port:
        answer = await ask(port, get())
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Cache-Control: no-store" in head
    assert body == "told\n"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/livez", "/metrics", "/nothing", "/livez?token=the-right-token"])
@pytest.mark.parametrize("line", ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic the-right-token\r\n"])
async def test_without_a_right_token_every_page_is_closed(method: str, path: str, line: str) -> None:
    async with open_tcp() as port:
        answer = await ask(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{line}\r\n")
    assert answer.startswith("HTTP/1.1 401 Unauthorized\r\n")
    assert "told" not in answer


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (get("/nothing"), "404"),
        (get().replace("GET", "POST"), "405"),
        ("\r\n\r\n", "400"),
        ("GET /livez\r\n\r\n", "400"),
    ],
)
async def test_what_is_no_request_for_a_page_is_refused_and_the_next_one_answered(
    request_text: str, status: str
) -> None:
    async with open_tcp() as port:
        assert (await ask(port, request_text)).startswith(f"HTTP/1.1 {status} ")
        assert (await ask(port, get())).startswith("HTTP/1.1 200 ")


async def test_a_request_that_has_no_end_is_given_up(tmp_path: Path) -> None:
    async with open_tcp() as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as endless:
            with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                await send_on(endless)
        assert (await ask(port, get())).startswith("HTTP/1.1 200 ")


async def test_connections_beyond_the_bound_are_closed_and_those_before_are_answered() -> None:
    async with open_tcp() as port:
        silent = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(AT_ONCE)]
        await anyio.sleep(0.1)
        with anyio.fail_after(4):
            async with await anyio.connect_tcp("127.0.0.1", port) as late:
                assert await read_all(late) == ""
        for stream in silent:
            await stream.aclose()


async def test_on_a_unix_socket_the_same_user_needs_no_token(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    async with open_telling(f"unix:{path}", {"/livez": told}, None):
        assert path.stat().st_mode & 0o777 == 0o600
        async with await anyio.connect_unix(path) as stream:
            await stream.send(b"GET /livez HTTP/1.1\r\n\r\n")
            assert (await read_all(stream)).endswith("told\n")
        with pytest.raises(InvalidArgumentError, match="another server's"):
            async with open_telling(f"unix:{path}", {}, None):
                pass
    assert not path.exists()


async def test_a_socket_that_a_killed_server_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    async with await anyio.create_unix_listener(path):
        pass
    if not path.exists():
        path.touch()
        path.unlink()
    async with open_telling(f"unix:{path}", {"/livez": told}, None):
        assert path.is_socket()


@pytest.mark.parametrize("where", ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "127.0.0.1:99999"])
async def test_it_is_not_told_where_others_could_listen(where: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be served at"):
        async with open_telling(where, {}, is_right):
            pass


async def test_without_tokens_it_is_told_on_a_unix_socket_only() -> None:
    with pytest.raises(InvalidArgumentError, match="need tokens"):
        async with open_telling("127.0.0.1:0", {}, None):
            pass
