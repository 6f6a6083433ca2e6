"""The log: whole lines, nothing that a terminal obeys, no secret."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from ws_mcp.core.redaction import Redactor
from ws_mcp.logs import ALIKE, WINDOW_S, Alike, JsonLines, TextLines


def record_of(message: str, *values: object, at: float = 0.0, is_failure: bool = False) -> logging.LogRecord:
    failure = sys.exc_info() if is_failure else None
    record = logging.LogRecord("ws_mcp.x", logging.WARNING, "x.py", 1, message, values, failure)
    record.created = at
    return record


def known() -> Redactor:
    redactor = Redactor()
    redactor.add("hunter2-hunter2")
    return redactor


def test_a_json_line_is_one_line_whatever_is_in_it() -> None:
    line = JsonLines(known()).format(record_of("launch of %s failed", 'p_1\nERROR x: "forged"\x1b[31m'))
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line) == {
        "ts": "1970-01-01T00:00:00.000+00:00",
        "level": "warning",
        "logger": "ws_mcp.x",
        "event": "launch of %s failed",
        "message": 'launch of p_1\nERROR x: "forged"\x1b[31m failed',
    }


def test_a_text_line_cannot_be_forged() -> None:
    line = TextLines(known()).format(record_of("launch of %s failed", "p_1\nERROR x: forged\x1b[31m\u202e"))
    assert line == "WARNING ws_mcp.x: launch of p_1\\nERROR x: forged\\x1b[31m\\u202e failed"


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_no_line_has_a_known_secret_nor_has_the_traceback_below_it(form: type[TextLines]) -> None:
    line = ""
    try:
        int("cannot use hunter2-hunter2")
    except ValueError:
        line = form(known()).format(record_of("with %s", "hunter2-hunter2", is_failure=True))
    assert "hunter2" not in line
    assert "ValueError: invalid literal for int() with base 10: 'cannot use [redacted]'" in line


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_no_line_has_a_handle_of_a_chat(form: type[TextLines]) -> None:
    line = form(known()).format(record_of("Resource %r failed", "ws://chats/c_7mDETRU8Jp3Z-FH80LrxLw/processes"))
    assert "Resource 'ws://chats/c_.../processes' failed" in line


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("hunter2-hunter2")


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_what_cannot_be_made_safe_is_not_shown(form: type[TextLines]) -> None:
    line = form(known()).format(record_of("with %s", Unprintable()))
    assert "withheld" in line
    assert "hunter2" not in line


def test_of_many_lines_alike_the_first_are_shown_and_the_rest_is_counted() -> None:
    alike = Alike()
    shown = [alike.filter(record_of("lost %s", number)) for number in range(ALIKE + 5)]
    assert shown == [True] * ALIKE + [False] * 5
    assert alike.filter(record_of("another"))
    later = record_of("lost %s", 9, at=WINDOW_S)
    assert alike.filter(later)
    assert later.getMessage() == "lost 9 (5 more like it were left out)"
