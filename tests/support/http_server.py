"""An engine's API as a script: answers what a test says, also wrongly, late, or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteStream

from support.unix_server import open_unix_server
from ws_mcp.core.engine.connection import Target
from ws_mcp.core.engine.context import endpoint_of
from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.docker import DockerEngine

LONG = Deadlines()
VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Components": [{"Name": "Engine"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What came in."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


Answer = Callable[[Request, ByteStream], Awaitable[None]]


class Server:
    """One connection after the other, one request after the other; `answer` says what each gets."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self._open = 0
        self._closed = anyio.Event()

    async def until_idle(self) -> None:
        """Wait until nobody is connected."""
        with anyio.fail_after(30):
            while self._open:
                await self._closed.wait()

    async def handle(self, stream: ByteStream) -> None:
        """Serve one connection until either side closes it."""
        self._open += 1
        try:
            async with stream:
                while (request := await _read(stream)) is not None:
                    self.requests.append(request)
                    if request.target.endswith("/version"):
                        await reply(stream, 200, VERSION)
                    else:
                        await self._answer(request, stream)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        finally:
            self._open -= 1
            self._closed.set()
            self._closed = anyio.Event()


async def reply(stream: ByteStream, status: int, body: object, *, more: str = "") -> None:
    """An answer with a JSON body."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{more}\r\n"
    await stream.send(head.encode() + content)


@asynccontextmanager
async def open_server(path: Path, answer: Answer) -> AsyncGenerator[Server]:
    """A server at the socket `path`."""
    server = Server(answer)
    async with open_unix_server(path, server.handle):
        yield server


def target(path: Path, handshake_s: float = 5) -> Target:
    """What streams need to know of a server at `path`."""
    endpoint = endpoint_of(str(path), "the test", None)
    return Target(endpoint=endpoint, api_version="1.41", is_podman=False, handshake_s=handshake_s)


@asynccontextmanager
async def open_door(
    path: Path, answer: Answer, deadlines: Deadlines = LONG
) -> AsyncGenerator[tuple[DockerEngine, Server]]:
    """A door to a scripted engine at `path`."""
    async with open_server(path, answer) as server:
        engine = DockerEngine(str(path), {}, deadlines)
        try:
            yield engine, server
        finally:
            await engine.aclose()


def always(status: int, body: object) -> Answer:
    """The same answer to everything."""

    async def answer(_request: Request, stream: ByteStream) -> None:
        await reply(stream, status, body)

    return answer


async def hang(_request: Request, _stream: ByteStream) -> None:
    """No answer."""
    await anyio.sleep_forever()


async def _read(stream: ByteStream) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        try:
            received += await stream.receive()
        except anyio.EndOfStream:
            return None
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(fields.get("content-length", "0")):
        body += await stream.receive()
    method, target, _ = first.split(" ")
    return Request(method=method, target=target, fields=fields, body=body)
