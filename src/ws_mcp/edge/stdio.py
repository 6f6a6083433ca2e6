"""The stdio transport: one JSON-RPC message a line, in bounded memory, without threads.

The SDK's own transport reads lines of any length and answers a line that is no message with nothing. Here a line has
at most 4 MiB and a sane shape, and each bad one gets an error, with the id of its request where that can be read for
sure. Waiting for stdin can be cancelled, so that a server ends when it is asked to.
"""

from __future__ import annotations

import logging
import os
import re
import select
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

from ws_mcp.edge.json_shape import ShapeError, check_shape

MAX_LINE_BYTES = 4 * 1024 * 1024  # as much as the SDK takes over HTTP
READ_BYTES = 64 * 1024
WRITE_BYTES = 64 * 1024  # of answers that are put together for one write
NO_JSON = "the line is no valid JSON"
MAX_ID = 256  # characters; it is repeated in the answer
EDGE_BYTES = 512  # of a line that is too long: enough to find the id at either end

_ID = rb'"id"\s*:\s*(?:(?P<number>-?\d{1,18})(?=\s*[,}])|"(?P<text>[\w.:-]{1,128})")'
_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?(?:"method"\s*:\s*"[\w/$.-]{1,128}"\s*,\s*)?' + _ID)
_LAST = re.compile(_ID + rb"\s*\}\s*\Z")

Messages = MemoryObjectReceiveStream[SessionMessage | Exception]
Answers = MemoryObjectSendStream[SessionMessage]

log = logging.getLogger(__name__)


class Line:
    """The bytes of a line that are kept: all of a short one, both ends of one that is too long."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._size = 0

    def add(self, part: bytes) -> None:
        """The next bytes of it."""
        self._size += len(part)
        self._kept += part
        if self._size > MAX_LINE_BYTES and len(self._kept) > 2 * EDGE_BYTES:
            del self._kept[EDGE_BYTES:-EDGE_BYTES]

    def take(self) -> tuple[bytes, bool]:
        """The line and whether it is whole; the next one begins."""
        line, is_whole = bytes(self._kept), self._size <= MAX_LINE_BYTES
        self._kept.clear()
        self._size = 0
        return line, is_whole


def parsed(line: bytes, *, is_whole: bool) -> SessionMessage | JSONRPCError:
    """The message in a line, or the answer to a line that has none.

    Source: JSON-RPC 2.0, section 5.1 (-32700: no JSON; -32600: no request).
    """
    if not is_whole:
        return _refusal(line, INVALID_REQUEST, f"the message is too large: at most {MAX_LINE_BYTES} bytes")
    try:
        check_shape(line)
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ShapeError as error:
        return _refusal(line, INVALID_REQUEST, f"the message is refused: {error}")
    except ValidationError as error:
        kinds = {e["type"] for e in error.errors(include_url=False, include_input=False, include_context=False)}
        if "json_invalid" not in kinds:
            return _refusal(line, INVALID_REQUEST, "the line is no JSON-RPC 2.0 message")
        return _refusal(line, PARSE_ERROR, NO_JSON)
    except ValueError:
        return _refusal(line, PARSE_ERROR, NO_JSON)
    reason = _bad_id(message, line)
    return _refusal(line, INVALID_REQUEST, reason) if reason else SessionMessage(message)


def _bad_id(message: JSONRPCMessage, line: bytes) -> str:
    """What is wrong with the id of a message."""
    if isinstance(message, JSONRPCNotification):
        # A request whose id is neither text nor a whole number would pass as one, and never be answered.
        is_one = b'"id"' not in line or "id" not in from_json(line)
        return "" if is_one else "the id of a request is a text or a whole number"
    number = message.id
    is_short = len(number) <= MAX_ID if isinstance(number, str) else number is None or abs(number) < 1 << 63
    return "" if is_short else f"the id of a request has at most {MAX_ID} characters, or 63 bits"


def _refusal(line: bytes, code: int, text: str) -> JSONRPCError:
    """An error for whoever waits for an answer to this line. A response has no method, and nobody waits."""
    first, last = line[:EDGE_BYTES], line[-EDGE_BYTES:]
    found = (_FIRST.match(first) or _LAST.search(last)) if b'"method"' in first + last else None
    known = None if found is None else int(found["number"]) if found["number"] else found["text"].decode()
    return JSONRPCError(jsonrpc="2.0", id=known, error=ErrorData(code=code, message=text))


@contextmanager
def standard_streams() -> Generator[tuple[int, int]]:
    """Descriptors of the real stdin and stdout; meanwhile a stray `print` goes to stderr, and children read nothing."""
    reading, writing, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    try:
        yield reading, writing
    finally:
        os.dup2(reading, 0)
        os.dup2(writing, 1)
        for fd in (reading, writing, nothing):
            os.close(fd)


@asynccontextmanager
async def open_stdio(reading: int, writing: int) -> AsyncGenerator[tuple[Messages, Answers]]:
    """Messages from one descriptor, answers to another; both ends close when stdin ends or nobody reads stdout."""
    arrived, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    answers, leaving = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as tasks, messages, answers:
        tasks.start_soon(_read_messages, reading, arrived, answers.clone())
        tasks.start_soon(_write_messages, writing, leaving, tasks.cancel_scope)
        yield messages, answers
        tasks.cancel_scope.cancel()


async def _read_messages(
    fd: int, arrived: MemoryObjectSendStream[SessionMessage | Exception], refusals: Answers
) -> None:
    line = Line()
    async with arrived, refusals:
        while block := await _read(fd):
            *parts, rest = block.split(b"\n")
            for part in parts:
                line.add(part)
                whole, is_whole = line.take()
                if not whole.strip():
                    continue
                found = parsed(whole, is_whole=is_whole)
                if isinstance(found, SessionMessage):
                    await arrived.send(found)
                else:
                    await refusals.send(SessionMessage(found))
            line.add(rest)


async def _write_messages(
    fd: int, leaving: MemoryObjectReceiveStream[SessionMessage], scope: anyio.CancelScope
) -> None:
    try:
        async with leaving:
            async for message in leaving:
                lines = _line(message)
                # What waits to be sent at the same moment goes in one write: each one wakes the client.
                with suppress(anyio.WouldBlock, anyio.EndOfStream):
                    while len(lines) < WRITE_BYTES:
                        lines += _line(leaving.receive_nowait())
                await _write(fd, lines)
    except (BrokenPipeError, ConnectionResetError):
        log.info("the client closed its end of stdout")
        scope.cancel()


def _line(message: SessionMessage) -> bytes:
    return message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


async def _read(fd: int) -> bytes:
    with suppress(PermissionError):  # a regular file and /dev/null never block, and epoll takes neither
        await anyio.wait_readable(fd)
    try:
        return os.read(fd, READ_BYTES)
    except ConnectionResetError:  # stdin is a socket whose other end has gone
        return b""


async def _write(fd: int, data: bytes) -> None:
    # Where a pipe can be written to at all, it takes PIPE_BUF bytes at once: so a blocking descriptor never blocks, and
    # its flags, which other processes share, stay as they are.
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        if not ready.poll(0):
            await anyio.wait_writable(fd)
        rest = rest[os.write(fd, rest[: select.PIPE_BUF]) :]
