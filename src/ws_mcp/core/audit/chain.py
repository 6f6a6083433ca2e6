"""Lines of an audit file, each sealed together with the one before it, and what is wrong with a file (pure).

The seal is keyed with the instance's key, so that nobody who cannot read the state directory makes a chain that fits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast

from pydantic_core import to_json

SEAL = b',"hash":"'
SEAL_CHARACTERS = 64
START = "0" * SEAL_CHARACTERS  # stands before the first line of a server's first file
_CLOSE = b'"}'

Fields = Mapping[str, object]


def chain_key(instance_key: bytes) -> bytes:
    """The key of an instance's audit files."""
    return blake2b(b"ws-mcp audit", key=instance_key[:64]).digest()


def sealed(key: bytes, before: str, fields: Fields) -> tuple[bytes, str]:
    """A line with its end, and its seal; `before` is the seal of the line before."""
    body = to_json(fields)  # a third of the time that the library's takes, and this is twice in every call
    seal = _seal(key, before, body)
    return b"".join((body[:-1], SEAL, seal.encode(), _CLOSE, b"\n")), seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line as it was read: what it says, and its seal."""

    fields: Fields
    seal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a file is worth. `damage`: the first line (from 1) that does not fit and why; "" if all do."""

    lines: int
    damage: str = ""
    first: Fields | None = None
    last: Entry | None = None
    removed: tuple[Fields, ...] = ()  # what it says of files that were removed

    @property
    def is_ended(self) -> bool:
        """Whether its server closed it: then no line is missing at its end."""
        return self.last is not None and self.last.fields.get("kind") in ("close", "rotate")


def examined(key: bytes, lines: Iterable[bytes]) -> Finding:
    """Look at every line of a file, ends included."""
    before: str | None = None
    first: Fields | None = None
    last: Entry | None = None
    removed: list[Fields] = []
    number = 0
    for number, line in enumerate(lines, 1):
        entry = entry_of(line)
        if entry is None:
            return Finding(lines=number, damage=f"line {number} is no whole line of an audit file")
        if first is None:
            first = entry.fields
            before = anchor_of(first)
        if entry.seal != _seal(key, before or START, _body(line)):
            return Finding(lines=number, damage=f"line {number} was changed, moved, or follows one that was removed")
        if entry.fields.get("seq") != number:
            return Finding(lines=number, damage=f"line {number} is not the one that was written there")
        before, last = entry.seal, entry
        removed += removals_in(entry.fields)
    return Finding(lines=number, first=first, last=last, removed=tuple(removed))


def removals_in(fields: Fields) -> list[Fields]:
    """The files that a line says were removed: their names, lines and last seals."""
    said = fields.get("files") if fields.get("kind") == "removed" else None
    found = cast("list[object]", said) if isinstance(said, list) else []
    return [cast("Fields", each) for each in found if isinstance(each, dict)]


def anchor_of(first: Fields) -> str:
    """The seal with which the file before ended, as the first line of a file says it."""
    after = first.get("after")
    return str(cast("dict[str, object]", after).get("hash")) if isinstance(after, dict) else START


def entry_of(line: bytes) -> Entry | None:
    """A line with its end as its fields; None where it is none."""
    body, is_sealed, rest = line.rpartition(SEAL)
    seal = rest.removesuffix(b"\n").removesuffix(_CLOSE)
    if not is_sealed or rest != seal + _CLOSE + b"\n" or len(seal) != SEAL_CHARACTERS:
        return None
    try:
        fields = cast("object", json.loads(body + b"}"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    return Entry(fields=cast("dict[str, object]", fields), seal=seal.decode(errors="replace"))


def _body(line: bytes) -> bytes:
    return line.rpartition(SEAL)[0] + b"}"


def _seal(key: bytes, before: str, body: bytes) -> str:
    return blake2b(before.encode(errors="replace") + body, key=key, digest_size=SEAL_CHARACTERS // 2).hexdigest()
