"""One text for all values that mean the same, and its digest (pure)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import cast

DIGITS = 32  # 128 bits: nobody gains by a collision but who writes both files
# An alias of YAML may stand for any number of others ("billion laughs").
NODES = 100_000
DEPTH = 100


def digest_of(content: str | bytes) -> str:
    """Digest of a text, or of bytes as they are."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:DIGITS]


def canonical(value: object) -> str:
    """Without white space and order of keys. ASCII, so that half a surrogate pair is no trouble."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def plain(value: object) -> object:
    """What YAML may say, in words of JSON.

    Raises:
        ValueError: it has too many parts, or contains itself.
    """
    return _plain(value, [NODES], DEPTH)


def _plain(value: object, left: list[int], depth: int) -> object:
    left[0] -= 1
    if left[0] < 0 or depth < 0:
        raise ValueError("it has too many parts, or contains itself")
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value)
        return {str(key): _plain(below, left, depth - 1) for key, below in pairs.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(below, left, depth - 1) for below in cast("Sequence[object]", value)]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
