"""Reads JSON with comments, strictly (pure): what is cut off or wrong is an error with its place, never repaired.

The dev container CLI repairs such text and goes on with what it could read, which costs a person the container.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import NoReturn, cast

from ws_mcp.core.devcontainers.port import UnreadableDefinitionError

# A string first, so that nothing in one is taken for a comment or a comma.
_COMMENTS = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_COMMAS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]\s*,|,(?=\s*[\]}])', re.DOTALL)
_INK = re.compile(r"[^\n]")
_FIRST = {
    "Expecting value": "a value is missing or cut off",
    "Unterminated string starting at": "a text begins here and does not end",
}


def object_of(text: str, file: str) -> Mapping[str, object]:
    """The object that `text` is; `file` is what a person calls it.

    Raises:
        UnreadableDefinitionError: with file, line and column.
    """
    plain = _COMMAS.sub(_without_comma, _COMMENTS.sub(_without_comment, text.removeprefix("\ufeff")))
    try:
        value: object = json.loads(plain, parse_constant=_refuse, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise unreadable(file, _FIRST.get(error.msg, error.msg), error.lineno, error.colno) from error
    except (ValueError, RecursionError) as error:
        raise unreadable(file, "a number or its nesting is beyond all measure") from error
    if not isinstance(value, dict):
        raise unreadable(file, "it has to be one object in braces", 1, 1)
    return cast("dict[str, object]", value)


def unreadable(file: str, why: str, line: int = 0, column: int = 0) -> UnreadableDefinitionError:
    """The error for a file of a definition; without `line` it is about the whole of it."""
    place = f", line {line}, column {column}" if line else ""
    return UnreadableDefinitionError(f"{file}{place}: {why}; correct it, or look again once it is saved")


def _without_comment(found: re.Match[str]) -> str:
    # Blanks in its place, so that lines and columns stay what a person sees.
    return found[0] if found[0][0] == '"' else _INK.sub(" ", found[0])


def _without_comma(found: re.Match[str]) -> str:
    return " " if found[0] == "," else found[0]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number
