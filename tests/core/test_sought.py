"""Texts are found in others as by a plain search for each of them, at a price that hardly goes by their number."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from hypothesis import given
from hypothesis.strategies import SearchStrategy, lists, sampled_from, text

from ws_mcp.core.sought import CUT, LEAST, Sought

FEW = 40
MANY = 40_000
LONG = 64 * 1024


def alike(longest: int) -> SearchStrategy[str]:
    """Texts that have much in common, within them and with each other."""
    return lists(sampled_from(("a", "b", "ab" * 4, "a" * 11, "é", "\ud800")), max_size=longest).map("".join)


def plainly(sought: list[str], within: str) -> set[int]:
    """The places of all characters that are found, one text after the other, one place after the other."""
    found: set[int] = set()
    for one in sought:
        for at in range(len(within)):
            if within.startswith(one[:CUT], at):
                found |= set(range(at, at + common(one, within[at:])))
            if within.endswith(one[-CUT:], 0, at + 1):
                found |= set(range(at + 1 - common(one[::-1], within[at::-1]), at + 1))
    return found


def common(one: str, other: str) -> int:
    size = 0
    while size < min(len(one), len(other)) and one[size] == other[size]:
        size += 1
    return size


def places(sought: Sought, within: str) -> set[int]:
    return {place for begin, end in sought.spans(within) for place in range(begin, end)}


@given(
    known=lists(alike(6).filter(lambda one: len(one) >= LEAST), max_size=6),
    past=lists(alike(6).filter(lambda one: len(one) >= LEAST), max_size=4),
    within=alike(12) | text(max_size=40),
)
def test_it_is_found_as_by_looking_for_each_alone(known: list[str], past: list[str], within: str) -> None:
    sought = Sought()
    for one in (*past, *known):
        sought.add(one)
    for one in past:
        sought.remove(one)
    for where in (within, *(within + one[:-1] + within + one[1:] for one in known)):
        assert places(sought, where) == plainly(known, where)


def test_a_thousand_times_as_many_cost_hardly_more() -> None:
    few, many = (seek(count) for count in (FEW, MANY))
    line, long = "no workspace 'x' " * 9, os.urandom(LONG // 2).hex()
    for within, most in ((line, 10), (long, 10)):
        of_few, of_many = lowest((few, many), within)
        assert of_many < most * of_few
    assert lowest((many,), line)[0] < 0.001


def seek(count: int) -> Sought:
    sought = Sought()
    for _ in range(count):
        sought.add(os.urandom(20).hex())
    return sought


def lowest(each: Sequence[Sought], within: str) -> list[float]:
    """In turn, so that what else the machine does hits all of them."""
    took: list[list[float]] = [[] for _ in each]
    for _ in range(30):
        for sought, times in zip(each, took, strict=True):
            began = time.thread_time()
            assert list(sought.spans(within)) == []
            times.append(time.thread_time() - began)
    return [min(times) for times in took]
