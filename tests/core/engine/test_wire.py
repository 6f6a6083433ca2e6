"""The little of HTTP/1.1, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, lists

from ws_mcp.core.engine.wire import MAX_HEAD_BYTES, ChunkDecoder, HttpError, request_bytes, split_head

HEAD = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: x/y\r\nUpgrade:tcp\r\nX:  a: b \r\n\r\n"


def test_a_head_is_found_once_it_is_whole() -> None:
    for cut in range(len(HEAD)):
        assert split_head(HEAD[:cut]) is None
    found = split_head(HEAD + b"\x01\0")
    assert found is not None
    head, rest = found
    assert (head.status, rest) == (101, b"\x01\0")
    assert head.fields == {"content-type": "x/y", "upgrade": "tcp", "x": "a: b"}
    assert (head.length, head.is_chunked) == (None, False)


@pytest.mark.parametrize(
    "answer",
    [b"\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 20x OK\r\n\r\n", b"x" * (MAX_HEAD_BYTES + 1)],
)
def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    with pytest.raises(HttpError):
        split_head(answer)


def test_a_length_that_is_no_number_is_none() -> None:
    found = split_head(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nTransfer-Encoding: Chunked\r\n\r\n")
    assert found is not None
    assert (found[0].length, found[0].is_chunked) == (None, True)


@given(chunks=lists(binary(min_size=1, max_size=40), max_size=6), cuts=lists(integers(0, 400), max_size=12))
def test_chunks_come_out_joined_however_they_are_cut(chunks: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(b"%x;a=b\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\nnext"
    at = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    decoder = ChunkDecoder()
    body = b"".join(decoder.feed(sent[a:b]) for a, b in pairwise(at))
    assert body == b"".join(chunks)
    assert decoder.is_done


@pytest.mark.parametrize("body", [b"zz\r\n", b"\r\n", b"-1\r\n", b"1" * 100])
def test_a_chunk_without_a_size_is_an_error(body: bytes) -> None:
    with pytest.raises(HttpError):
        ChunkDecoder().feed(body)


def test_a_request_ends_its_head_and_says_how_long_its_body_is() -> None:
    request = request_bytes("POST", "/v1.41/x", "engine", b'{"a":1}', upgrades=True)
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v1.41/x HTTP/1.1",
        b"Host: engine",
        b"User-Agent: ws-mcp",
        b"Content-Type: application/json",
        b"Content-Length: 7",
        b"Connection: Upgrade",
        b"Upgrade: tcp",
    ]
    assert body == b'{"a":1}'
