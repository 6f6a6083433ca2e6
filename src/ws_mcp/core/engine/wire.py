"""The little of HTTP/1.1 that exec and event streams need (pure).

Source: RFC 9112, sections 4 (status line), 5 (fields) and 7.1 (chunks).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MAX_HEAD_BYTES = 64 * 1024  # an engine's heads are below 1 KiB; a proxy's cookies may be in between
_MAX_SIZE_LINE = 64
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


class HttpError(ValueError):
    """The bytes are no HTTP/1.1 answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Status and fields of an answer; the names of fields in lower case."""

    status: int
    fields: Mapping[str, str]

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.fields.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int | None:
        """Bytes of the body, where that is said."""
        text = self.fields.get("content-length", "")
        return int(text) if text.isdecimal() else None


def request_bytes(
    method: str,
    target: str,
    host: str,
    body: bytes,
    *,
    upgrades: bool = False,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """A request with a JSON body ("" for none) and further fields, which the caller has checked."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "User-Agent: ws-mcp"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if upgrades:
        lines += ["Connection: Upgrade", "Upgrade: tcp"]
    return "\r\n".join((*lines, "", "")).encode("ascii") + body


def split_head(received: bytes) -> tuple[Head, bytes] | None:
    """The head and what came after it; None while it is incomplete.

    Raises:
        HttpError
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if len(received) > MAX_HEAD_BYTES:
            raise HttpError("the head of the answer does not end")
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not (words[1].isdecimal() and len(words[1]) == 3):
        raise HttpError(f"no HTTP answer: {first[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Head(status=int(words[1]), fields=fields), received[end + 4 :]


class ChunkDecoder:
    """Takes apart a body in chunks, which may be cut anywhere."""

    __slots__ = ("_buffer", "_left", "is_done")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0  # bytes of the present chunk that have not come yet, with the line end after it
        self.is_done = False

    def feed(self, received: bytes) -> bytes:
        """The body's bytes in `received`; what comes after the last chunk is left out.

        Raises:
            HttpError
        """
        self._buffer += received
        body: list[bytes] = []
        while self._buffer and not self.is_done:
            if not self._left and not self._open():
                break
            part, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
            # The last two bytes of each chunk are its line end.
            body.append(part[: max(self._left - 2, 0)])
            self._left -= len(part)
        return b"".join(body)

    def _open(self) -> bool:
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            if len(line) > _MAX_SIZE_LINE:
                raise HttpError("a chunk without a size")
            return False
        digits = line.partition(b";")[0].strip()
        if not _SIZE.fullmatch(digits):
            raise HttpError(f"no size of a chunk: {line[:20]!r}")
        size = int(digits, 16)
        self._buffer = rest
        self._left = size + 2
        self.is_done = size == 0
        return True
