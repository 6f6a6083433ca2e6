"""What the text of a message may be before it becomes values: shallow, of few values, each name once, real numbers.

A message of 4 MiB can hold a million empty lists, which take a hundred times the memory. So the shape is looked at
first.
"""

from __future__ import annotations

import json
import re
from math import isinf
from typing import NoReturn

from pydantic_core import from_json

MAX_DEPTH = 32
MAX_VALUES = (
    10_000  # twice as many as the longest call has, which is a command of 4,096 words and all that goes with it
)
MAX_STRINGS = 2 * MAX_VALUES + 1  # that many values with their names
MAX_DIGITS = 400  # of a number; the largest float has 309
FEW = 32  # brackets: so many cannot be nested too deep

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)  # an open one ends with the line
_BRACKET = re.compile(rb"[\[\]{}]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONG_NUMBER = re.compile(rb"(?<!\d)\d{%d}" % MAX_DIGITS)  # begins where digits do, or each would be a begin


class ShapeError(Exception):
    """The text is JSON perhaps, but none that this server takes; `str(error)` says why, without a value."""


def check_shape(message: bytes) -> None:
    """Look at the text of one message.

    Raises:
        ShapeError
        ValueError: it is no JSON, or not in UTF-8.
    """
    brackets = message.count(b"[") + message.count(b"{")
    if brackets > FEW or message.count(b",") > MAX_VALUES or _LONG_NUMBER.search(message):
        skeleton, strings = _STRING.subn(b"", message, MAX_STRINGS + 1)
        if strings > MAX_STRINGS:
            raise ShapeError(f"it has too many texts: at most {MAX_STRINGS}")
        _check_skeleton(skeleton)
    try:
        # From bytes it would guess the encoding, and in another one the look from outside has seen something else.
        _DECODER.decode(message.decode())
    except RecursionError as error:
        raise ShapeError(f"it is nested too deep: at most {MAX_DEPTH} levels") from error
    if _SURROGATE.search(message):
        from_json(message)  # takes halves of pairs only together, as nothing can be done with one alone


def _check_skeleton(skeleton: bytes) -> None:
    """The text without its strings."""
    if skeleton.count(b",") + skeleton.count(b"[") + skeleton.count(b"{") > MAX_VALUES:
        raise ShapeError(f"it has too many values: at most {MAX_VALUES}")
    if _LONG_NUMBER.search(skeleton):
        raise ShapeError(f"a number in it is too long: at most {MAX_DIGITS} digits")
    depth = 0
    for bracket in _BRACKET.finditer(skeleton):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ShapeError(f"it is nested too deep: at most {MAX_DEPTH} levels")


def _each_once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        # Which of the two counts depends on who reads it: a check may see one, and the effect be the other's.
        raise ShapeError("an object in it has a name twice")


def _finite(text: str) -> None:
    if isinf(float(text)):
        raise ShapeError("a number in it is too large")


def _no_number(_: str) -> NoReturn:
    raise ShapeError("NaN and Infinity are no numbers of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_number, parse_float=_finite)
