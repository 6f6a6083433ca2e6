"""Frames of exec streams, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, lists, sampled_from, tuples

from ws_mcp.core.engine.frames import FrameDecoder, FrameError


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def fed(chunks: list[bytes]) -> tuple[bytes, bytes]:
    decoder = FrameDecoder()
    parts = [decoder.feed(chunk) for chunk in chunks]
    return b"".join(out for out, _ in parts), b"".join(err for _, err in parts)


FRAMES = lists(tuples(sampled_from([0, 1, 2, 3]), binary(max_size=30)), max_size=8)


@given(frames=FRAMES, cuts=lists(integers(0, 400), max_size=12))
def test_bytes_come_out_sorted_and_in_order_however_they_are_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    sent = b"".join(frame(kind, payload) for kind, payload in frames)
    at = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    stdout = b"".join(payload for kind, payload in frames if kind == 1)
    stderr = b"".join(payload for kind, payload in frames if kind != 1)
    assert fed([sent[a:b] for a, b in pairwise(at)]) == (stdout, stderr)


def test_every_cut_in_two_gives_the_same() -> None:
    sent = frame(1, b"one") + frame(2, b"") + frame(2, b"err") + frame(1, b"two")
    for cut in range(len(sent) + 1):
        assert fed([sent[:cut], sent[cut:]]) == (b"onetwo", b"err")


def test_the_beginning_of_a_payload_is_passed_on_at_once() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(frame(1, b"0123456789")[:12]) == (b"0123", b"")
    assert decoder.feed(b"4567") == (b"4567", b"")


@pytest.mark.parametrize(
    "head", [b"\x04\0\0\0\0\0\0\1x", b"\x01\0\0\1\0\0\0\1x", b"HTTP/1.1 500", b"OCI runtime exec failed"]
)
def test_what_is_no_frame_is_an_error(head: bytes) -> None:
    with pytest.raises(FrameError):
        FrameDecoder().feed(head)
