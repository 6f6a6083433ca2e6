"""Fifty processes write a gigabyte at once: it costs no more than their rings, and every byte is accounted for."""

from __future__ import annotations

import pytest

from tests.bench import table
from tests.load.floods import GIB, RINGS, Flood, flood

COUNT = 50
MIB = 1 << 20


@pytest.mark.slow
def test_fifty_floods_cost_their_rings_and_are_right_to_the_byte() -> None:
    done = flood(COUNT, GIB // COUNT, bound_s=90)
    assert done.wrong == []
    assert done.execd_most - done.execd_before <= COUNT * RINGS + 32 * MIB
    assert done.server_most - done.server_before <= 32 * MIB
    assert table.p50(done.beside) < 0.1 * 10  # its own number is of p99, on a machine that does nothing else


def test_each_flood_has_a_text_of_its_own_at_each_offset() -> None:
    one, other = Flood(number=1, size=10_000), Flood(number=2, size=10_000)
    whole = one.text(0, one.size)
    assert len(one.line) + 1 == 997
    assert whole.startswith(one.line + "\n" + one.line)
    assert one.text(3000, 5000) == whole[3000:5000]
    assert one.text(3000, 3100) not in (one.text(3001, 3101), one.text(3064, 3164), other.text(3000, 3100))
