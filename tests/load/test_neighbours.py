"""A chat at its limits is refused what is beyond them, and somebody else hardly notices."""

from __future__ import annotations

import pytest

from tests.bench import table
from tests.load.neighbours import Pressure, fare


@pytest.mark.slow
def test_a_chat_at_its_limits_slows_down_nobody_else() -> None:
    fared = fare(3, 2, Pressure.HELD)
    assert fared.wrong == []
    assert fared.refused > 5
    assert table.p50(fared.beside) < 2 * table.p50(fared.quiet)
