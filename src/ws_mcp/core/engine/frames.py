"""Takes apart what the engine multiplexes into one exec stream or log: frames of stdout and stderr (pure).

Source: Docker Engine API, "Attach to a container", stream format: a header of one byte (1 stdout, 2 stderr, 3 an error
of the engine), three zero bytes, and the payload's size as a big-endian 32-bit number; then the payload.
"""

from __future__ import annotations

HEADER_BYTES = 8
STDOUT = 1
_KINDS = (0, STDOUT, 2, 3)


class FrameError(ValueError):
    """The bytes are no multiplexed stream."""


class FrameDecoder:
    """Sorts the bytes of one stream, in chunks that may be cut anywhere; a payload is passed on as it comes in.

    With `joins` all of them count as stdout, so that their order is kept.
    """

    __slots__ = ("_header", "_is_stdout", "_joins", "_left")

    def __init__(self, *, joins: bool = False) -> None:
        self._joins = joins
        self._header = b""  # the first bytes of a header whose rest has not come yet
        self._left = 0  # bytes of the present payload that have not come yet
        self._is_stdout = True

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """The bytes of stdout and those of stderr in `chunk`.

        Raises:
            FrameError: the stream is not multiplexed; nothing more can be read from it.
        """
        if self._header:
            chunk = self._header + chunk
            self._header = b""
        stdout: list[bytes] = []
        stderr: list[bytes] = []
        at, end = 0, len(chunk)
        while at < end:
            if not self._left:
                if end - at < HEADER_BYTES:
                    self._header = chunk[at:]
                    break
                self._open(chunk, at)
                at += HEADER_BYTES
                continue
            upto = min(end, at + self._left)
            (stdout if self._is_stdout else stderr).append(chunk[at:upto])
            self._left -= upto - at
            at = upto
        return _joined(stdout), _joined(stderr)

    def _open(self, chunk: bytes, at: int) -> None:
        kind = chunk[at]
        if kind not in _KINDS or chunk[at + 1 : at + 4] != b"\0\0\0":
            raise FrameError(f"no frame header: {chunk[at : at + HEADER_BYTES].hex()}")
        self._is_stdout = self._joins or kind == STDOUT
        self._left = int.from_bytes(chunk[at + 4 : at + HEADER_BYTES], "big")


def _joined(parts: list[bytes]) -> bytes:
    # One frame in a chunk is the common case: it costs one copy, not two.
    return parts[0] if len(parts) == 1 else b"".join(parts)
