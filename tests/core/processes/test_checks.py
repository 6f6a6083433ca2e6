from __future__ import annotations

from typing import Any

import pytest

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import ChatId
from ws_mcp.core.processes import checks
from ws_mcp.core.processes.environment import environment_of
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import ReadRequest, StartRequest, Streams, TtySize, Until, Wait

LIMITS = ProcessLimits()
MB = 1 << 20


def request(**fields: Any) -> StartRequest:
    everything: dict[str, Any] = {"command": "true", **fields}
    return StartRequest(**everything)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"command": ""}, "command is empty"),
        ({"command": " \n"}, "command is empty"),
        ({"command": ()}, "command is empty"),
        ({"command": ("", "x")}, "command is empty"),
        ({"command": "a\x00b"}, "NUL"),
        ({"command": ("a", "b\x00")}, "NUL"),
        ({"command": "\ud800"}, "surrogate"),
        ({"command": "x" * (65536 + 1)}, "too long"),
        ({"command": "ü" * 40_000}, "too long"),
        ({"command": ("x" * 40_000, "x" * 40_000)}, "too long"),
        ({"environment": {"A": "x" * (100 * MB)}}, "env is too long"),
        ({"environment": {str(n): "" for n in range(129)}}, "129 variables"),
        ({"environment": {"": "x"}}, "name"),
        ({"environment": {"A=B": "x"}}, "name"),
        ({"environment": {"A": "\x00"}}, "NUL"),
        ({"environment": {"A": "\udfff"}}, "surrogate"),
        ({"environment": {"WSMCP_PROCESS": "x"}}, "reserved"),
        ({"cwd": "src"}, "absolute"),
        ({"cwd": "~"}, "absolute"),
        ({"cwd": "/proc/self"}, "cwd cannot be in"),
        ({"cwd": "//sys"}, "cwd cannot be in"),
        ({"cwd": "/workspace/../dev/shm"}, "cwd cannot be in"),
        ({"cwd": "/a\x00"}, "NUL"),
        ({"cwd": "/" + "x" * 5000}, "too long"),
        ({"user": "root; rm"}, "user is a name"),
        ({"user": "x" * 200}, "too long"),
        ({"request_key": "k" * 201}, "too long"),
        ({"request_key": "\ud800"}, "surrogate"),
        ({"time_limit_s": -1}, "time_limit_s is 0 to"),
        ({"time_limit_s": float("nan")}, "time_limit_s is 0 to"),
        ({"time_limit_s": float("inf")}, "time_limit_s is 0 to"),
        ({"tty": TtySize(cols=0)}, "terminal has 1 to"),
        ({"tty": TtySize(rows=5000)}, "terminal has 1 to"),
        ({"tty": TtySize(), "streams": Streams.SEPARATE}, "one stream"),
    ],
)
def test_a_start_that_cannot_work_is_refused_in_one_line(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says) as refused:
        checks.check_start(request(**fields), LIMITS)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("cwd", "normal"),
    [("", ""), ("/", "/"), ("//a//b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/..", "/"), ("/process", "/process")],
)
def test_a_directory_is_normalised(cwd: str, normal: str) -> None:
    assert checks.check_start(request(cwd=cwd), LIMITS).cwd == normal


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ("printf", "", " ")},
        {"environment": {"A": "", "WS_MCP_CHAT": "x"}, "user": "1000:1000", "time_limit_s": 0.5},
        {"tty": TtySize(), "keeps_stdin": True, "user": "www-data", "request_key": "schlüssel"},
    ],
)
def test_what_can_be_started_passes(fields: dict[str, Any]) -> None:
    asked = request(**fields)
    assert checks.check_start(asked, LIMITS) == asked


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (ReadRequest(offset=-1), "offset"),
        (ReadRequest(offset=1 << 70), "offset"),
        (ReadRequest(limit_bytes=0), "limit"),
        (ReadRequest(limit_bytes=100 * MB), "limit"),
        (ReadRequest(tail_bytes=-1), "tail"),
        (ReadRequest(wait=Wait(until=Until.EXIT, wait_s=-0.1)), "wait_s is 0 to 45"),
        (ReadRequest(wait=Wait(until=Until.EXIT, wait_s=45.1)), "wait_s is 0 to 45"),
        (ReadRequest(wait=Wait(until=Until.EXIT, wait_s=float("nan"))), "wait_s"),
        (ReadRequest(wait=Wait(until=Until.IDLE, wait_s=1, idle_s=-1)), "idle_s"),
        (ReadRequest(wait=Wait(until=Until.PATTERN, wait_s=1)), "needs one"),
        (ReadRequest(wait=Wait(until=Until.PATTERN, wait_s=1, pattern="x" * 1025)), "too long"),
        (ReadRequest(wait=Wait(until=Until.PATTERN, wait_s=1, pattern="\ud800")), "surrogate"),
    ],
)
def test_a_read_that_cannot_work_is_refused(read: ReadRequest, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        checks.check_read(read, LIMITS)


def test_a_read_of_the_largest_kind_passes() -> None:
    wait = Wait(until=Until.IDLE, wait_s=45, idle_s=45)
    checks.check_read(ReadRequest(offset=1 << 50, limit_bytes=MB, wait=wait), LIMITS)


@pytest.mark.parametrize("spelling", ["TERM", "term", "SIGTERM", "SigTerm", " term "])
def test_signals_are_known_in_every_spelling(spelling: str) -> None:
    assert checks.signal_of(spelling) == "TERM"


@pytest.mark.parametrize("text", ["", "STOP", "15", "SIG", "TERM\n; KILL", "x" * 10_000_000])
def test_another_signal_is_refused_with_the_seven(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="TERM, KILL, INT, HUP, QUIT, USR1, USR2") as refused:
        checks.signal_of(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("grace_s", [-1, 46, float("nan")])
def test_a_grace_out_of_range_is_refused(grace_s: float) -> None:
    with pytest.raises(InvalidArgumentError, match="grace_s is 0 to 45"):
        checks.check_grace(grace_s, LIMITS)


def test_input_and_lists_are_bounded() -> None:
    checks.check_input(bytes(MB), LIMITS)
    with pytest.raises(InvalidArgumentError, match="in parts"):
        checks.check_input(bytes(MB + 1), LIMITS)
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidArgumentError, match="1 to 1000"):
            checks.check_limit(limit, LIMITS)


@pytest.mark.parametrize(
    ("text", "is_one"), [("p_7k3m9x2q", True), ("p_", False), ("7k3m9x2q", False), ("p_A", False), ("p_1\n", False)]
)
def test_process_ids_are_recognised(text: str, is_one: bool) -> None:
    assert checks.is_process_id(text) is is_one


def test_the_environment_is_quiet_and_what_was_asked_for_wins() -> None:
    found = environment_of({"PAGER": "less", "MINE": "1", "WS_MCP_CHAT": "other"}, ChatId("c_1"), has_tty=False)
    assert (found["TERM"], found["NO_COLOR"], found["GIT_PAGER"]) == ("dumb", "1", "cat")
    assert (found["GIT_EDITOR"], found["GIT_TERMINAL_PROMPT"], found["DEBIAN_FRONTEND"]) == (
        "true",
        "0",
        "noninteractive",
    )
    assert (found["PAGER"], found["MINE"], found["WS_MCP_CHAT"]) == ("less", "1", "c_1")


def test_a_terminal_has_colours() -> None:
    found = environment_of({}, ChatId("c_1"), has_tty=True)
    assert found["TERM"] == "xterm-256color"
    assert "NO_COLOR" not in found
