from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, booleans, dictionaries, floats, integers, lists, none, recursive, text, tuples

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.execd import protocol
from ws_mcp.core.execd.protocol import ExecdProtocolError, Frame, FrameDecoder, encode

GOLDEN = Path(__file__).parents[3] / "execd" / "testdata" / "golden.jsonl"
# Surrogates are no characters, and execd's numbers fit into 64 bits.
texts = text()
plain = (
    none() | booleans() | integers(-(1 << 63), (1 << 63) - 1) | floats(allow_nan=False, allow_infinity=False) | texts
)
values = recursive(
    plain, lambda inner: lists(inner, max_size=4) | dictionaries(texts, inner, max_size=4), max_leaves=10
)
frames = tuples(dictionaries(texts, values, max_size=5), binary(max_size=200))


def golden() -> Iterator[Any]:
    for line in GOLDEN.read_bytes().splitlines():
        case = json.loads(line)
        yield pytest.param(case, id=case["name"])


def decode(*chunks: bytes) -> list[Frame]:
    decoder = FrameDecoder()
    found = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    decoder.finish()
    return found


@pytest.mark.parametrize("case", list(golden()))
def test_the_golden_frames_are_read_as_the_other_side_reads_them(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["frame_hex"])
    if "error" in case:
        with pytest.raises(ExecdProtocolError) as refused:
            decode(data)
        assert refused.value.kind == case["error"]
    else:
        assert decode(data) == [Frame(case["header"], bytes.fromhex(case["body_hex"]))]
        assert encode(case["header"], bytes.fromhex(case["body_hex"])) == data


@given(sent=lists(frames, max_size=6), cuts=lists(integers(0, 3000), max_size=12))
def test_what_was_encoded_is_decoded_however_the_stream_is_cut(
    sent: list[tuple[dict[str, Any], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(encode(header, body) for header, body in sent)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert decode(*chunks) == [Frame(header, body) for header, body in sent]


@given(junk=binary(max_size=300), cut=integers(0, 300))
def test_junk_is_frames_or_a_protocol_error_and_nothing_else(junk: bytes, cut: int) -> None:
    with suppress(ExecdProtocolError):
        decode(junk[:cut], junk[cut:])


def framed(header: bytes) -> bytes:
    return protocol.LENGTHS.pack(4 + len(header), len(header)) + header


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1" * 5000])
def test_numbers_that_are_no_json_or_too_long_are_refused(number: str) -> None:
    with pytest.raises(ExecdProtocolError):
        decode(framed(f'{{"id":{number}}}'.encode()))


def test_a_header_of_many_levels_is_refused() -> None:
    with pytest.raises(ExecdProtocolError):
        decode(framed(b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))


def test_frames_before_a_bad_one_are_still_given() -> None:
    decoder = FrameDecoder()
    found = decoder.feed(encode({"id": 1}) + framed(b"[]"))
    assert next(found) == Frame({"id": 1})
    with pytest.raises(ExecdProtocolError):
        next(found)


@pytest.mark.parametrize("header", [{"shell": "\ud800"}, {"\udfff": 1}, {"argv": ["a", "b\udc80"]}])
def test_half_a_character_is_refused_before_it_is_sent(header: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="surrogate"):
        encode(header)


def test_the_largest_frame_is_sent_and_one_byte_more_is_not() -> None:
    room = protocol.MAX_FRAME_BYTES - len(encode({})) + 4
    assert decode(encode({}, bytes(room))) == [Frame({}, bytes(room))]
    with pytest.raises(InvalidArgumentError, match="4194305 bytes"):
        encode({}, bytes(room + 1))


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (protocol.integer, 5, ["5", 5.0, True, None, 1 << 63]),
        (protocol.text, "x", [5, None, ["x"]]),
        (protocol.flag, True, [1, "true", None]),
        (protocol.child, {"a": 1}, [[], "x", 0]),
        (protocol.children, [{"a": 1}], [None, {}, [1], "x"]),
    ],
)
def test_a_field_of_another_kind_is_a_bad_message(read: Any, good: Any, bad: list[Any]) -> None:
    assert read({"field": good}, "field") == good
    for value in bad:
        with pytest.raises(ExecdProtocolError) as refused:
            read({"field": value}, "field")
        assert refused.value.kind == "bad_message"


def test_half_a_character_that_arrives_is_replaced() -> None:
    (frame,) = decode(framed(b'{"last":"a\\ud800b\xc3\xbc"}'))
    assert protocol.text(frame.header, "last") == "a?bü"
