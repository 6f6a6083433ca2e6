"""Output as text: nothing hidden gets through, nothing is torn, and the status line says exactly what was shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ws_mcp.core.ids import PlaceId, ProcessId, WorkspaceName
from ws_mcp.core.processes.model import (
    Exit,
    OutputRange,
    OutputWindow,
    ProcessInfo,
    ProcessState,
    Stream,
    Until,
    Wait,
    Woke,
)
from ws_mcp.core.processes.render import Shown, cut, show, show_receipt, span, state_text, text_of, torn

RUNNING = ProcessInfo(
    process=ProcessId("p_7k3m9x2q"),
    workspace=WorkspaceName("main"),
    place=PlaceId("ws-1"),
    command="make",
    cwd="/workspace",
    state=ProcessState.RUNNING,
    started_at=datetime(2026, 11, 20, tzinfo=UTC),
)
ENDED = replace(RUNNING, state=ProcessState.ENDED, duration_s=1.23, exit=Exit(code=0))

FINALS = [b"m", b"A", b"K", b"~", b"@"]
ESCAPES = [
    *(
        b"\x1b[" + parameters + final
        for parameters in (b"", b"0", b"1;31", b"?25", b"38;2;1;2;3", b"0 ")
        for final in FINALS
    ),
    *(
        b"\x1b" + introducer + b"0;a title" + end
        for introducer in (b"]", b"P", b"X", b"^", b"_")
        for end in (b"\x07", b"\x1b\\")
    ),
    *(b"\x1b" + rest for rest in (b"7", b"8", b"=", b">", b"(B", b")0", b"#8", b"c", b"M", b"%G")),
]
HIDDEN = [
    *(bytes([c]) for c in (*range(9), 11, 12, *range(14, 27), *range(28, 32), 127) if c != 8),
    *(
        chr(c).encode()
        for c in (*range(0x80, 0xA0), 0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F))
    ),
    *(chr(c).encode() for c in (*range(0x2060, 0x2070), 0xFEFF, *range(0xFE00, 0xFE10), *range(0xFFF9, 0xFFFC))),
    *(chr(c).encode() for c in (*range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0))),
]

written = st.one_of(st.text(max_size=6).map(lambda text: text.encode(errors="ignore")), st.binary(max_size=4)).filter(
    lambda piece: not set(piece) & set(b"\x1b\r\b")
)
plain = st.lists(st.one_of(written, st.sampled_from(ESCAPES), st.just(b"\n")), max_size=30).map(b"".join)
rewritten = st.lists(
    st.one_of(written, st.sampled_from([*ESCAPES, b"\r", b"\b", b"\x1b[2K", b"\x1b[1G"]), st.just(b"\n")), max_size=30
).map(b"".join)
sizes = st.lists(st.integers(1, 40), max_size=60)


def windows(data: bytes, lengths: list[int]) -> list[bytes]:
    """`data` as a reader gets it who reads on at each cut; one who gets nothing asks for more."""
    shown: list[bytes] = []
    at = 0
    wanted = [*lengths, len(data)]
    size = 0
    for length in wanted:
        size += length
        window = data[at : at + size]
        here = cut(window, is_end=at + size >= len(data))
        if here:
            shown.append(window[:here])
            at, size = at + here, 0
    return shown


@pytest.mark.parametrize("sequence", [*ESCAPES, *HIDDEN], ids=repr)
def test_what_a_person_does_not_see_is_left_out_wherever_it_is_cut(sequence: bytes) -> None:
    data = b"A" + sequence + b"B"
    assert text_of(data) == "AB"
    for at in range(len(data) + 1):
        here = cut(data[:at], is_end=False)
        assert text_of(data[:here]) + text_of(data[here:]) == "AB"


@given(data=st.one_of(st.binary(max_size=200), rewritten))
@example(b"\x1b\x1b[31m[31m")
@example(b"\x1b\xe2\x80\x8b[31m")
@example(b"\xc2\x9b31m")
def test_text_has_nothing_hidden_and_stays_as_it_is_when_rendered_again(data: bytes) -> None:
    text = text_of(data)
    assert text_of(text.encode()) == text
    assert len(text) <= len(data)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in text)
    assert not any(0x7F <= ord(c) < 0xA0 or 0xE0000 <= ord(c) < 0xE0080 for c in text)


@given(data=plain, lengths=sizes)
def test_windows_make_together_the_rendering_of_the_whole(data: bytes, lengths: list[int]) -> None:
    shown = windows(data, lengths)
    assert b"".join(shown) == data
    assert "".join(map(text_of, shown)) == text_of(data)


@given(data=rewritten, lengths=sizes)
def test_only_lines_that_are_written_over_may_differ_when_they_are_cut(data: bytes, lengths: list[int]) -> None:
    data = data.replace("\u2028".encode(), b"").replace("\u2029".encode(), b"")
    joined = "".join(map(text_of, windows(data, lengths))).split("\n")
    whole = text_of(data).split("\n")
    assert len(joined) == len(whole)
    for number, line in enumerate(data.split(b"\n")):
        if not any(mark in line for mark in (b"\r", b"\b", b"\x1b[2K", b"\x1b[1G")):
            assert joined[number] == whole[number]


@given(lines=st.lists(rewritten.map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=8), at=st.integers(0, 8))
def test_a_cut_after_a_line_is_exact(lines: list[bytes], at: int) -> None:
    before, after = b"".join(lines[:at]), b"".join(lines[at:])
    assert text_of(before) + text_of(after) == text_of(before + after)


@given(data=st.binary(max_size=120))
def test_a_cut_holds_back_little_and_nothing_at_the_end(data: bytes) -> None:
    assert cut(data, is_end=True) == len(data)
    here = cut(data, is_end=False)
    assert len(data) - here <= 3 or (len(data) - here < 64 + 3 and data[here : here + 1] == b"\x1b")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b" 10%\r 50%\r100%\n", "100%\n"),
        (b"one\r\ntwo\r\n", "one\ntwo\n"),
        (b"one\r\r\n", "one\n"),
        (b"working\r\x1b[K\ndone\n", "working\ndone\n"),
        (b"1/2\x1b[2K\x1b[1G2/2\n", "2/2\n"),
        (b"1/2\x1b[G2/2\n", "2/2\n"),
        (b"|\b/\b-\b\\\bok\n", "ok\n"),
        (b"N\bNA\bAM\bME\bE\n", "NAME\n"),
        (b"abc\b\b\bxy\n", "xyc\n"),
        (b"\b\bx", "x"),
        (b"50%\r", "50%"),
        (b"\xff\xfeok\xc3", "\ufffd\ufffdok\ufffd"),
        (b"\x1b]0;never ended\nnext line\n", "\nnext line\n"),
        (b"\x1b]8;;http://x.test\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\u2028b".encode(), "a\nb"),
        (b"\x1b[31mred\x1b[0m \xe2\x82\xac\n", "red €\n"),
        (b"\x1b", ""),
        (b"", ""),
    ],
)
def test_a_line_shows_its_last_state(data: bytes, text: str) -> None:
    assert text_of(data) == text


@pytest.mark.parametrize(
    ("data", "rest"), [(b"", 0), (b"abc", 0), (b"\x82\xacx", 2), (b"\x80\x80\x80\x80", 3), (b"\x80", 1)]
)
def test_the_rest_of_a_character_is_recognised(data: bytes, rest: int) -> None:
    assert torn(data) == rest


def shown(info: ProcessInfo, data: bytes = b"", start: int = 0, **more: object) -> Shown:
    wait = more.pop("wait", None)
    is_tail = bool(more.pop("is_tail", False))
    stream = more.pop("stream", Stream.OUT)
    assert isinstance(wait, Wait | None)
    assert isinstance(stream, Stream)
    window = replace(OutputWindow(info=info, data=data, start=start, end=start + len(data)), **more)  # pyright: ignore[reportArgumentType]  # fields by name
    return show(window, stream=stream, wait=wait, is_tail=is_tail)


def test_a_running_process_says_what_was_shown_and_where_to_read_on() -> None:
    info = replace(RUNNING, out=OutputRange(end=52311, head_end=52311, tail_start=52311))
    got = shown(info, b"x" * 8000, 8000)
    assert got.status == "[p_7k3m9x2q running | bytes 8000-16000 of 52311 | next offset=16000]"
    assert (got.start, got.end, got.next_offset) == (8000, 16000, 16000)
    assert got.whole == "x" * 8000 + "\n" + got.status


def test_an_ended_process_says_so_once_all_was_read() -> None:
    info = replace(ENDED, out=OutputRange(end=3, head_end=3, tail_start=3, is_final=True))
    got = shown(info, b"ok\n")
    assert got.whole == "ok\n[p_7k3m9x2q exited 0 after 1.2 s | bytes 0-3 of 3 | end of output]"
    assert got.next_offset is None


def test_a_torn_character_waits_for_the_next_window() -> None:
    info = replace(RUNNING, out=OutputRange(end=3, head_end=3, tail_start=3))
    got = shown(info, "a€".encode()[:3])
    assert (got.text, got.end, got.next_offset) == ("a", 1, 1)
    final = replace(ENDED, out=OutputRange(end=3, head_end=3, tail_start=3, is_final=True))
    assert shown(final, "a€".encode()[:3]).text == "a\ufffd"


def test_dropped_output_is_counted_and_stepped_over() -> None:
    info = replace(RUNNING, out=OutputRange(end=5_000_000, head_end=65536, tail_start=4_194_304))
    at_gap = shown(info, b"x" * 536, 65000)
    assert at_gap.status == (
        "[p_7k3m9x2q running | bytes 65000-65536 of 5000000 | bytes 65536-4194304 are no longer kept"
        " | next offset=4194304]"
    )
    after = shown(info, b"\x82\xacx", 4_194_304, missed=100)
    assert (after.text, after.start) == ("x", 4_194_306)


def test_a_tail_says_how_to_read_what_is_before_it() -> None:
    info = replace(ENDED, out=OutputRange(end=900, head_end=900, tail_start=900, is_final=True))
    got = shown(info, b"x" * 100, 800, is_tail=True)
    assert got.status == (
        "[p_7k3m9x2q exited 0 after 1.2 s | bytes 800-900 of 900 | earlier: offset=0 | end of output]"
    )
    assert "earlier" not in shown(info, b"x" * 900, 0, is_tail=True).status


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (replace(ENDED, exit=Exit(code=42)), "exited 42 after 1.2 s"),
        (replace(ENDED, exit=Exit(signal="KILL")), "killed by KILL after 1.2 s"),
        (replace(ENDED, exit=Exit(signal="KILL", reason="time_limit")), "ended by its time limit after 1.2 s"),
        (replace(ENDED, exit=None), "ended after 1.2 s"),
        (replace(ENDED, lingering=(77, 78)), "exited 0 after 1.2 s, but it left running children (pids 77, 78)"),
        (replace(RUNNING, state=ProcessState.LOST), "lost: how it ended is not known"),
        (
            replace(RUNNING, state=ProcessState.LOST, lost_reason="its container\nrestarted"),
            "lost (its container restarted): how it ended is not known",
        ),
    ],
)
def test_the_state_is_said_in_words(info: ProcessInfo, words: str) -> None:
    assert state_text(info) == words


@pytest.mark.parametrize(
    ("until", "woke", "match", "words"),
    [
        (Until.EXIT, Woke.TIMEOUT, None, "it did not end within 10.0 s; it runs on"),
        (Until.OUTPUT, Woke.TIMEOUT, None, "no new output within 10.0 s; it runs on"),
        (Until.PATTERN, Woke.TIMEOUT, None, "the pattern did not appear within 10.0 s; it runs on"),
        (Until.IDLE, Woke.TIMEOUT, None, "it still wrote after 10.0 s; it runs on"),
        (Until.PATTERN, Woke.EXIT, None, "it ended before the pattern appeared"),
        (Until.PATTERN, Woke.PATTERN, (5, 9), "the pattern is at bytes 5-9"),
        (Until.OUTPUT, Woke.OUTPUT, None, ""),
    ],
)
def test_a_wait_that_ended_is_no_failure(until: Until, woke: Woke, match: tuple[int, int] | None, words: str) -> None:
    status = shown(RUNNING, wait=Wait(until=until, wait_s=10, pattern="x"), woke=woke, match=match).status
    middle = f" | {words}" if words else ""
    assert status == f"[p_7k3m9x2q running{middle} | no output yet | next offset=0]"


def test_an_empty_window_says_how_much_there_is() -> None:
    out = OutputRange(end=10, head_end=10, tail_start=10)
    assert "no new output, 10 bytes so far" in shown(replace(RUNNING, out=out), start=10).status
    assert "bytes 4-4 of 10" in shown(replace(RUNNING, out=out), start=4).status
    assert "no output | end of output" in shown(replace(ENDED, out=OutputRange(is_final=True))).status


def test_stderr_is_named() -> None:
    info = replace(RUNNING, err=OutputRange(end=2, head_end=2, tail_start=2))
    assert "stderr bytes 0-2 of 2" in shown(info, b"no", stream=Stream.ERR).status
    assert "no output yet" in shown(RUNNING, stream=Stream.ERR).status


def test_output_that_a_child_may_still_write_is_not_at_its_end() -> None:
    info = replace(ENDED, lingering=(7,), out=OutputRange(end=2, head_end=2, tail_start=2))
    assert shown(info, b"ok").next_offset == 2


def test_a_receipt_shows_what_is_left() -> None:
    info = replace(ENDED, is_receipt=True, last="\x1b[31mbye\n", out=OutputRange(end=4000, is_final=True))
    got = show_receipt(info)
    assert got.whole == (
        "bye\n[p_7k3m9x2q exited 0 after 1.2 s | its output is no longer kept, these were its last bytes"
        " | 4000 bytes in all]"
    )
    assert "these were" not in show_receipt(replace(info, last="")).status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.04, "40 ms"),
        (0.9994, "999 ms"),
        (1, "1.0 s"),
        (99, "99.0 s"),
        (100, "1 min 40 s"),
        (7200, "2 h 0 min"),
        (5999, "99 min 59 s"),
    ],
)
def test_durations_are_for_reading(seconds: float, text: str) -> None:
    assert span(seconds) == text
