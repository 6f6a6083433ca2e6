"""Fuzzing of requests to a real HTTP server: each gets a status or a closed connection, and the next good one works."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from support.fuzzing import BITS, HANG_S, chances, mutated_bytes, mutated_value, told
from support.http_ground import HELLO, ask, modern, modern_headers
from support.server_process import HttpServer, open_http

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
METHODS = ("POST", "POST", "POST", "GET", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "TRACE", "post", "X")
TARGETS = (
    "/mcp",
    "/mcp",
    "/mcp",
    "/mcp/",
    "//mcp",
    "/",
    "*",
    "/mcp?access_token=x",
    "/%6dcp",
    "/../mcp",
    "/" + "a" * 9000,
)
STRANGE: tuple[tuple[str, str], ...] = (
    ("Content-Type", "text/plain"), ("Content-Type", "application/json; charset=utf-16"), ("Content-Encoding", "gzip"),
    ("Accept", ""), ("Accept", "*/*;q=x"), ("Accept-Encoding", "\xff"), ("Mcp-Session-Id", "../x"), ("Host", "no.test"),
    ("Origin", "http://evil.test"), ("Origin", "null"), ("MCP-Protocol-Version", "9999"), ("Mcp-Method", "tools/list"),
    ("Authorization", "Bearer"), ("Authorization", "Basic eDp4"), ("Last-Event-ID", "x" * 3000),
    ("Expect", "100-continue"), ("Upgrade", "websocket"), ("Connection", "upgrade"), ("Cookie", "a=" + "b" * 5000),
    ("X-" + "a" * 300, "1"), ("Transfer-Encoding", "gzip, chunked"), ("Content-Length", "-1"),
    ("Content-Length", "1e3"), ("Mcp-Name", "\x01"),
)  # fmt: skip
# A body that goes wrong while its request is being answered, with what an answer's head may say of its own body.
KEPT = tuple(
    b"%s HTTP/1.1\r\nHost: no.test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" % first
    for first in (b"POST /mcp", b"HEAD /mcp")
)


def _request(chance: Random, server: HttpServer) -> tuple[bytes, bool]:
    """A request, and whether a status is owed for it: its framing is what HTTP says."""
    message: Any = modern("tools/list") if chance.random() < 0.5 else HELLO
    body = json.dumps(mutated_value(chance, message) if chance.random() < 0.6 else message).encode()
    if chance.random() < 0.3:
        body = chance.choice((mutated_bytes(chance, body), b"", json.dumps(message).encode("utf-16"), b"[" * 100_000))
    headers = {"Host": urlsplit(server.url).netloc, "Content-Type": "application/json", "Connection": "close"}
    headers |= {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {server.token}"}
    headers |= modern_headers("tools/list") if "_meta" in str(message) else {}
    is_chunked, is_strange = chance.random() < 0.25, chance.random() < 0.5
    if is_chunked:
        headers["Transfer-Encoding"] = "chunked"
        cut = chance.randint(0, len(body))
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part) + b"0\r\n\r\n"
    else:
        headers["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}" for name, value in headers.items()]
    for _ in range(chance.randint(1, 3) if is_strange else 0):
        lines.insert(chance.randint(0, len(lines)), ": ".join(chance.choice(STRANGE)))
    first = f"{chance.choice(METHODS)} {chance.choice(TARGETS)} HTTP/1.1"
    head = "\r\n".join([first, *lines]).encode("latin-1")
    if is_mangled := chance.random() < 0.3:
        head = mutated_bytes(chance, head)
    elif is_chunked and chance.random() < 0.3:
        body, is_mangled = chance.choice((b"zz\r\n", b"ffffffffff\r\nx", b"-1\r\n", *BITS)), True
    return head + b"\r\n\r\n" + body, not (is_strange or is_mangled)


def _status(server: HttpServer, request: bytes, *, is_whole: bool) -> bytes:
    """The status line of the answer; empty where the connection was closed without one."""
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname or "", place.port or 0), HANG_S) as connection:
        try:
            connection.sendall(request)
            if not is_whole:
                connection.shutdown(socket.SHUT_WR)  # or the server waits for the rest, as it should
            received = b""
            while b"\r\n" not in received and (piece := connection.recv(65536)):
                received = (received + piece).removeprefix(CONTINUE)
        except (ConnectionResetError, BrokenPipeError):  # refused before it was read
            return b""
    return received.partition(b"\r\n")[0]


def test_any_request_gets_a_status_and_the_next_good_one_works(tmp_path: Path) -> None:
    with open_http(tmp_path / "state", "--engine", "none") as server:
        for at, (name, chance) in enumerate(chances(200)):
            request, is_owed = (KEPT[at], False) if at < len(KEPT) else _request(chance, server)
            with told(name, request.replace(server.token.encode(), b"TOKEN")):
                status = _status(server, request, is_whole=is_owed)
                if status or is_owed:
                    assert status.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), status
                    assert 200 <= int(status.split()[1]) <= 599
                # Of the newer era: it opens no session, and of those there is a limit.
                good = ask(server.url, modern("tools/list"), token=server.token, **modern_headers("tools/list"))
                assert good.status == 200, good
                assert b'"tools"' in good.body
        assert server.child.poll() is None
        (log,) = tmp_path.glob("http-*.log")
        text = log.read_text()
        # The SDK writes one for a client that goes away in the middle of its body.
        assert text.count("Traceback") == text.count("\nstarlette.requests.ClientDisconnect\n")
