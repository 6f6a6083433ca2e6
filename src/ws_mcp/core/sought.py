"""Texts that are looked for in others, all of them at once (pure).

What it costs to look goes by the length of a text and hardly by how many are sought: each eight characters are looked
up, and the few that begin or end something are compared.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Sequence

LEAST = 8  # characters of what is sought; as many as go into one number
CUT = 12  # characters of its beginning or end that give it away


class _Beginnings:
    """Texts by their first characters, sorted: the one that goes on longest as another does is beside its place."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self._longest = 0

    def add(self, text: str) -> None:
        insort(self._known.setdefault(text[:LEAST], []), text)
        self._longest = max(self._longest, len(text))

    def remove(self, text: str) -> None:
        alike = self._known[text[:LEAST]]
        del alike[bisect_left(alike, text)]
        if not alike:
            del self._known[text[:LEAST]]

    def most(self, text: str, at: int) -> int:
        """How much of one stands there: what gives it away, or all of it; else 0."""
        alike = self._known.get(text[at : at + LEAST])
        return _most(alike, text[at : at + self._longest]) if alike else 0


def _most(alike: Sequence[str], rest: str) -> int:
    """How much of one is the beginning of `rest`; 0 where that is too little."""
    place = bisect_left(alike, rest)
    most = max((_same(rest, one) for one in alike[max(0, place - 1) : place + 1]), default=0)
    if most >= CUT:
        return most
    return next((size for size in range(most, LEAST - 1, -1) if _has(alike, rest[:size])), 0)


class Sought:
    """What is sought, as often as it was added. Each has at least `LEAST` characters."""

    def __init__(self) -> None:
        self._forwards = _Beginnings()
        self._backwards = _Beginnings()
        self._eights = Counter[int]()

    def add(self, text: str) -> None:
        """Look for it from now on."""
        self._forwards.add(text)
        self._backwards.add(text[::-1])
        self._eights.update(_eights_of(text))

    def remove(self, text: str) -> None:
        """Undo one `add`."""
        self._forwards.remove(text)
        self._backwards.remove(text[::-1])
        for eight in _eights_of(text):
            self._eights[eight] -= 1
            if not self._eights[eight]:
                del self._eights[eight]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in a text is one that is sought, or as much of it as follows its beginning or comes before its end."""
        sequences = _eights_in(text)
        if all(map(self._eights.keys().isdisjoint, sequences)):  # as nearly always; to find out where costs more
            return
        turned = text[::-1]
        for first, sequence in enumerate(sequences):
            for at in (first + place * LEAST for place, eight in enumerate(sequence) if eight in self._eights):
                if size := self._forwards.most(text, at):
                    yield at, at + size
                end = at + LEAST
                if size := self._backwards.most(turned, len(text) - end):
                    yield end - size, end


def _eights_of(text: str) -> tuple[int, int]:
    """Its first and its last eight characters as numbers, which are looked up three times as fast."""
    raw = text.encode("ascii", errors="replace")  # characters that become alike here are compared later
    return int.from_bytes(raw[:LEAST], sys.byteorder), int.from_bytes(raw[-LEAST:], sys.byteorder)


def _eights_in(text: str) -> list[memoryview[int]]:
    """All eight characters of it that follow each other: from the first one on every eighth, from the second, ..."""
    raw = memoryview(text.encode("ascii", errors="replace"))
    begins = range(min(LEAST, len(raw) - LEAST + 1))
    return [raw[at : at + (len(raw) - at) // LEAST * LEAST].cast("Q") for at in begins]


def _has(alike: Sequence[str], text: str) -> bool:
    place = bisect_left(alike, text)
    return place < len(alike) and alike[place] == text


def _same(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low + 1 < high:  # the first `low` are the same, the first `high` are not
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
