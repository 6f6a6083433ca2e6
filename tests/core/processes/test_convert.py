from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, none, recursive, sampled_from, text

from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.execd.protocol import ExecdProtocolError, Reply
from ws_mcp.core.ids import ChatId, PlaceId, ProcessId, WorkspaceName
from ws_mcp.core.processes import convert
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import (
    Exit,
    OutputRange,
    ProcessState,
    ReadRequest,
    StartRequest,
    Streams,
    TtySize,
    Until,
    Wait,
    Woke,
)
from ws_mcp.core.processes.port import PlaceRef

CHAT = ChatId("c_1")
ADDRESS = PlaceAddress(place=PlaceId("w_1"), container=None, binary="", directory="", user="")
PLACE = PlaceRef(workspace=WorkspaceName("main"), address=ADDRESS, is_running=True)
OUT = {"end": 30, "head_end": 10, "tail_start": 20, "is_final": True}
HEADER: dict[str, Any] = {
    "process": "p_1", "chat": "c_1", "argv": ["sh", "-c", "make"], "shell": "make", "cwd": "/workspace", "pid": 41,
    "state": "ended", "started_at_ms": 1_000, "ended_at_ms": 3_500, "duration_ms": 2_500, "code": 2, "out": OUT,
    "lingering": [7, 8], "has_tty": False, "has_stdin": True, "is_receipt": True, "last": "bye", "reason": "",
}  # fmt: skip


def test_a_process_is_taken_over_whole() -> None:
    info = convert.info_of(HEADER, PLACE, CHAT, ProcessId("p_1"))
    assert (info.process, info.workspace, info.place, info.command) == ("p_1", "main", "w_1", "make")
    assert (info.state, info.exit) == (ProcessState.ENDED, Exit(code=2))
    assert (info.started_at, info.ended_at) == (
        datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 3, 500_000, tzinfo=UTC),
    )
    assert (info.duration_s, info.pid, info.lingering, info.last) == (2.5, 41, (7, 8), "bye")
    assert info.out == OutputRange(end=30, head_end=10, tail_start=20, is_final=True)
    assert (info.err, info.has_tty, info.has_stdin, info.is_receipt) == (None, False, True, True)


def test_a_running_process_has_no_end() -> None:
    info = convert.info_of(HEADER | {"state": "running", "err": OUT}, PLACE, CHAT)
    assert (info.ended_at, info.exit) == (None, None)
    assert info.err is not None


def test_a_death_by_signal_has_its_name_and_reason() -> None:
    header = {name: value for name, value in HEADER.items() if name != "code"}
    info = convert.info_of(header | {"signal": "KILL", "reason": "time_limit"}, PLACE, CHAT)
    assert info.exit == Exit(signal="KILL", reason="time_limit")


def test_words_are_shown_as_a_shell_would_need_them() -> None:
    info = convert.info_of(HEADER | {"shell": "", "argv": ["echo", "a b", "$x"]}, PLACE, CHAT)
    assert info.command == "echo 'a b' '$x'"


@pytest.mark.parametrize(
    "wrong",
    [
        {"process": ""},
        {"process": "p_2"},
        {"chat": "c_2"},
        {"state": "lost"},
        {"state": "sleeping"},
        {"shell": "", "argv": "make"},
        {"shell": "", "argv": [1]},
        {"out": {"end": 1, "head_end": 2, "tail_start": 2}},
        {"out": {"end": -1, "head_end": -1, "tail_start": -1}},
        {"out": 5},
        {"started_at_ms": 1 << 62},
        {"lingering": "no"},
        {"lingering": ["7"]},
        {"code": "0"},
        {"pid": None},
    ],
)
def test_a_process_that_cannot_be_is_a_protocol_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExecdProtocolError):
        convert.info_of(HEADER | wrong, PLACE, CHAT, ProcessId("p_1"))


def test_no_process_is_a_protocol_error() -> None:
    with pytest.raises(ExecdProtocolError):
        convert.info_of(None, PLACE, CHAT)


values = recursive(
    none() | integers() | text(max_size=5),
    lambda inner: lists(inner, max_size=3) | dictionaries(text(), inner),
    max_leaves=5,
)


@given(changed=dictionaries(sampled_from(sorted(HEADER)), values))
def test_whatever_a_place_says_is_a_process_or_a_protocol_error(changed: dict[str, Any]) -> None:
    with suppress(ExecdProtocolError):
        convert.info_of(HEADER | changed, PLACE, CHAT)


def window(**changed: Any) -> Any:
    header = {
        "process": HEADER,
        "start": 20,
        "end": 23,
        "missed": 10,
        "woke": "pattern",
        "match": {"start": 20, "end": 21},
    }
    return convert.window_of(Reply(header=header | changed, body=b"abc"), PLACE, CHAT, ProcessId("p_1"))


def test_a_window_is_taken_over_whole() -> None:
    found = window()
    assert (found.data, found.start, found.end, found.missed) == (b"abc", 20, 23, 10)
    assert (found.woke, found.match) == (Woke.PATTERN, (20, 21))
    plain = window(woke="", match=None)
    assert (plain.woke, plain.match) == (None, None)


@pytest.mark.parametrize("wrong", [{"end": 24}, {"start": -1, "end": 2}, {"missed": -1}, {"woke": "noise"}])
def test_a_window_that_cannot_be_is_a_protocol_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExecdProtocolError):
        window(**wrong)


def test_a_start_says_what_was_asked_and_leaves_out_defaults() -> None:
    asked = StartRequest(command=("a", "b"), streams=Streams.SEPARATE, time_limit_s=0.0001, tty=None, request_key="k")
    fields = convert.start_fields(asked, ProcessId("p_1"), CHAT, ProcessLimits(), 5)
    assert fields["argv"] == ("a", "b")
    assert (fields["streams"], fields["key"], fields["max_running"], fields["time_limit_ms"]) == ("separate", "k", 5, 1)
    assert not {"shell", "cwd", "user", "tty", "stdin"} & set(fields)
    shell = StartRequest(command="x", tty=TtySize(cols=1, rows=2), keeps_stdin=True, cwd="/a", user="u")
    fields = convert.start_fields(shell, ProcessId("p_1"), CHAT, ProcessLimits(), 5)
    assert (fields["shell"], fields["tty"], fields["stdin"]) == ("x", {"cols": 1, "rows": 2}, True)
    assert (fields["cwd"], fields["user"]) == ("/a", "u")
    assert not {"argv", "streams", "time_limit_ms", "key"} & set(fields)


def test_a_read_says_offset_or_tail_and_what_is_left_of_the_wait() -> None:
    assert convert.read_fields(ReadRequest(offset=5), 0) == {"stream": "out", "offset": 5, "limit": 16000}
    assert convert.read_fields(ReadRequest(tail_bytes=9), 0) == {"stream": "out", "tail": 9, "limit": 9}
    pattern = ReadRequest(wait=Wait(until=Until.PATTERN, wait_s=9, pattern="x", idle_s=3))
    assert convert.read_fields(pattern, 1.5)["wait"] == {"until": "pattern", "timeout_ms": 1500, "pattern": "x"}
    idle = ReadRequest(wait=Wait(until=Until.IDLE, wait_s=9, pattern="x", idle_s=3))
    assert convert.read_fields(idle, 9)["wait"] == {"until": "idle", "timeout_ms": 9000, "idle_ms": 3000}


def test_the_digest_changes_with_the_request_and_not_with_the_key() -> None:
    base = StartRequest(command="make", environment={"A": "1", "B": "2"})
    same = StartRequest(command="make", environment={"B": "2", "A": "1"}, request_key="k")
    others = [
        StartRequest(command=("make",), environment=base.environment),
        StartRequest(command="make", environment={"A": "12"}),
        StartRequest(command="make", environment=base.environment, cwd="/workspace"),
        StartRequest(command="make", environment=base.environment, user="root"),
        StartRequest(command="make", environment=base.environment, tty=TtySize()),
        StartRequest(command="make", environment=base.environment, keeps_stdin=True),
        StartRequest(command="make", environment=base.environment, streams=Streams.SEPARATE),
        StartRequest(command="make", environment=base.environment, time_limit_s=1),
    ]
    assert convert.digest_of(base) == convert.digest_of(same)
    assert len({convert.digest_of(request) for request in [base, *others]}) == len(others) + 1
