"""Requests to an engine over a connection of our own: for what goes on as long as the engine has something to say."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import anyio
from anyio.abc import ByteStream

from ws_mcp.core.engine.context import Endpoint
from ws_mcp.core.engine.faults import Call, error_of, unreachable
from ws_mcp.core.engine.record import Record
from ws_mcp.core.engine.wire import ChunkDecoder, Head, HttpError, request_bytes, split_head
from ws_mcp.core.errors import EngineError

RECEIVE_BYTES = 65536
MAX_BODY_BYTES = 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024  # labels of one container; a line that is longer is no event of ours
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The engine's API as it was agreed upon when we connected."""

    endpoint: Endpoint
    api_version: str
    is_podman: bool
    handshake_s: float


class HttpConnection:
    """One connection to the engine, one request after the other."""

    def __init__(self, stream: ByteStream, target: Target) -> None:
        self.stream = stream
        self.rest = b""
        self._prefix = f"/v{target.api_version}"
        self._host = target.endpoint.host or "engine"

    async def request(
        self, method: str, path: str, body: object = None, *, upgrades: bool = False, fields: Mapping[str, str] = NONE
    ) -> Head:
        """Send a request and wait for the head of its answer.

        Raises:
            OSError, HttpError, anyio.EndOfStream, anyio.BrokenResourceError
        """
        content = json.dumps(body).encode() if body is not None else b""
        target = self._prefix + path
        await self.stream.send(request_bytes(method, target, self._host, content, upgrades=upgrades, fields=fields))
        while (found := split_head(self.rest)) is None:
            self.rest += await self.stream.receive(RECEIVE_BYTES)
        head, self.rest = found
        return head

    async def body(self, head: Head) -> bytes:
        """The whole body of the answer, at most `MAX_BODY_BYTES`."""
        content = b""
        chunks = ChunkDecoder()
        while not (chunks.is_done if head.is_chunked else len(content) >= (head.length or 0)):
            received, self.rest = self.rest or await self.stream.receive(RECEIVE_BYTES), b""
            content += chunks.feed(received) if head.is_chunked else received
            if len(content) > MAX_BODY_BYTES:
                raise HttpError("the answer is too long")
        return content

    async def lines(self) -> AsyncGenerator[bytes]:
        """The lines of a body in chunks that goes on until the engine ends it."""
        chunks = ChunkDecoder()
        line = b""
        while not chunks.is_done:
            received, self.rest = self.rest or await self.stream.receive(RECEIVE_BYTES), b""
            *whole, line = (line + chunks.feed(received)).split(b"\n")
            for text in whole:
                yield text
            if len(line) > MAX_LINE_BYTES:
                raise HttpError("a line of the answer is too long")


async def refusal(connection: HttpConnection, head: Head, call: Call, subject: str) -> EngineError:
    """The error for an answer that is one."""
    body = await connection.body(head)
    try:
        text = Record(json.loads(body)).text("message")
    except ValueError:
        text = body.decode(errors="replace")
    return error_of(call, subject, head.status, text)


@contextmanager
def handshake(target: Target) -> Generator[None]:
    """Translate what goes wrong before the stream is there."""
    try:
        yield
    except (OSError, ValueError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
        text = "it closed the connection" if isinstance(error, anyio.EndOfStream) else ""
        raise unreachable(str(target.endpoint), target.endpoint.origin, error, text) from error
