"""The simulation notices when a guard is missing: each is taken away, and a promise is broken."""

from __future__ import annotations

import pytest
from simulation.guards import BY_CHANCE, BY_SCENE, SCENES, Removal
from simulation.run import run
from simulation.scene import Play, play

SEEDS = 6
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning"
)


def _name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("scene", SCENES, ids=_name)
def test_with_all_guards_a_scene_breaks_no_promise(scene: Play) -> None:
    assert not play(scene)


@pytest.mark.parametrize(("guard", "scene"), BY_SCENE, ids=_name)
def test_a_scene_breaks_a_promise_without_its_guard(
    guard: Removal, scene: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard(monkeypatch)
    assert play(scene), f"{guard.__doc__} Nobody noticed."


@pytest.mark.slow
@pytest.mark.parametrize(("guard", "seed"), BY_CHANCE, ids=_name)
def test_a_guard_that_is_missing_breaks_a_promise(guard: Removal, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    guard(monkeypatch)
    # First the one that noticed when this was written: then it takes a second.
    assert any("ViolationError" in run(each).failure for each in (seed, *range(SEEDS))), f"{guard.__doc__} Unnoticed."
