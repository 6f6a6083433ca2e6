"""The simulation notices when a guard is missing: each is taken away, and a promise is broken within a few seeds."""

from __future__ import annotations

import pytest
from simulation.guards import GUARDS, Removal
from simulation.run import run

SEEDS = 6
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning"
)


@pytest.mark.slow
@pytest.mark.parametrize(("guard", "seed"), GUARDS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_guard_that_is_missing_breaks_a_promise(guard: Removal, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    guard(monkeypatch)
    # First the one that noticed when this was written: then it takes a second.
    assert any(run(each).failure for each in (seed, *range(SEEDS))), f"{guard.__doc__} Nobody noticed."
