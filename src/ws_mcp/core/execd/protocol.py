"""The wire of execd: frames, requests, replies, events, as bytes and back (pure).

It knows nothing of what an operation means. What a peer sent is JSON of unknown shape until one of the readers below
looked at it, since whoever rules a container rules the execd in it.

Source: execd/PROTOCOL.md, section "Frames".
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from ws_mcp.core.errors import InvalidArgumentError

VERSION = 1
MAX_FRAME_BYTES = 4 << 20  # what may follow the first length
MAX_READ_BYTES = 2 << 20  # one window of output
LENGTH = struct.Struct(">I")
LENGTHS = struct.Struct(">II")

Header = Mapping[str, object]
"""A JSON object as it was received."""


NO_START = (
    "nothing more can be started in its container, which has as many processes or as much memory as it may; try again "
    "in a moment, or stop_workspace, which ends all that runs in it"
)
_RUNTIME = b"OCI "  # so the runtime begins, on the stream of a command that it could not start


class ExecdProtocolError(Exception):
    """The peer sent what the protocol forbids; the connection is of no use any more.

    `kind`: `no_start` (nobody is there), `too_long`, `bad_header`, `truncated` (frames), `bad_message` (a frame that
    says nothing we can use).
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    header: Header
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request."""

    header: Header
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened in a place: `started`, `grew`, `ended`, `forgotten`, `relist`, or what a later execd adds."""

    kind: str
    header: Header


_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _refuse_constant(name: str) -> object:
    raise ExecdProtocolError("bad_header", f"{name} is no JSON")


_loads = json.JSONDecoder(parse_constant=_refuse_constant).decode


def encode(header: Header, body: bytes = b"") -> bytes:
    """A frame.

    Raises:
        InvalidArgumentError: a string holds half a character (a lone surrogate), or the frame would be too long.
    """
    try:
        head = _dumps(header).encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            "a text holds half a character (a lone surrogate), which no program can read"
        ) from error
    length = 4 + len(head) + len(body)
    if length > MAX_FRAME_BYTES:
        raise InvalidArgumentError(f"the request is too large: {length} bytes, at most {MAX_FRAME_BYTES} can be sent")
    return LENGTHS.pack(length, len(head)) + head + body


class FrameDecoder:
    """Cuts a stream, fed in chunks of any size, into frames. Keeps at most one frame and one chunk."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that are complete with `chunk`; to be used up before the next call.

        Raises:
            ExecdProtocolError: at the first frame that is not one; the stream is of no use after it.
        """
        buffer = self._buffer
        buffer += chunk
        start = 0
        while len(buffer) - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer, start)
            if length > MAX_FRAME_BYTES and buffer.startswith(_RUNTIME):
                raise ExecdProtocolError("no_start", NO_START)
            if length > MAX_FRAME_BYTES:
                raise ExecdProtocolError("too_long", f"a frame of {length} bytes")
            end = start + LENGTH.size + length
            if len(buffer) < end:
                break
            yield _frame(bytes(memoryview(buffer)[start + LENGTH.size : end]))
            start = end
        del buffer[:start]

    def finish(self) -> None:
        """Say that the stream ended.

        Raises:
            ExecdProtocolError: in the middle of a frame.
        """
        if self._buffer:
            raise ExecdProtocolError("truncated", "the stream ended in the middle of a frame")


def _frame(content: bytes) -> Frame:
    if len(content) < LENGTH.size:
        raise ExecdProtocolError("bad_header", "a frame without a header")
    end = LENGTH.size + LENGTH.unpack_from(content)[0]
    if end > len(content):
        raise ExecdProtocolError("bad_header", "a header longer than its frame")
    try:
        header: object = _loads(content[LENGTH.size : end].decode())
    # A long number is a ValueError, too, and a deep list a RecursionError.
    except (ValueError, RecursionError) as error:
        raise ExecdProtocolError("bad_header", "a header that is no JSON") from error
    if not isinstance(header, dict):
        raise ExecdProtocolError("bad_header", "a header that is no object")
    return Frame(cast(Header, header), content[end:])


# --- readers: what a peer sent, checked ---


def integer(header: Header, name: str, default: int = 0) -> int:
    """A whole number.

    Raises:
        ExecdProtocolError
    """
    value = header.get(name, default)
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise _bad(name)
    return value


def text(header: Header, name: str, default: str = "") -> str:
    """A string of whole characters.

    Raises:
        ExecdProtocolError
    """
    value = header.get(name, default)
    if not isinstance(value, str):
        raise _bad(name)
    # JSON can spell half a character ("\ud800"); nothing after us could encode it.
    return value if value.isascii() else value.encode(errors="replace").decode()


def flag(header: Header, name: str) -> bool:
    """A truth value, False when absent.

    Raises:
        ExecdProtocolError
    """
    value = header.get(name, False)
    if not isinstance(value, bool):
        raise _bad(name)
    return value


def child(header: Header, name: str) -> Header | None:
    """An object, None when absent.

    Raises:
        ExecdProtocolError
    """
    value = header.get(name)
    if value is not None and not isinstance(value, dict):
        raise _bad(name)
    return cast("Header | None", value)


def children(header: Header, name: str) -> list[Header]:
    """A list of objects.

    Raises:
        ExecdProtocolError
    """
    values = header.get(name)
    if not isinstance(values, list):
        raise _bad(name)
    found = cast("list[object]", values)
    if not all(isinstance(value, dict) for value in found):
        raise _bad(name)
    return cast("list[Header]", found)


def _bad(name: str) -> ExecdProtocolError:
    return ExecdProtocolError("bad_message", f"field {name!r} is missing or of another kind")
