"""Real servers, execds and containers are killed in the middle of things: a few seeds here, all with `make soak`.

One seed again: `python -m kills.run --seed 7`, in `tests/`, where an engine answers (`.ci/with-engine`).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kills.checks import Checks, written
from kills.findings import Findings, keep, table
from kills.plan import CELLS, Fault, Moment, plan_of
from kills.run import run_all
from kills.story import Record, Story
from support.peers import page_of
from support.real_engine import EngineGround

SHORT = (0, 3, 12, 16, 22, 41, 60)  # each moment once, each time with another fault


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_whatever_is_killed_nothing_is_lost_left_or_touched(engine_ground: EngineGround) -> None:
    done = await run_all(SHORT)
    assert not [str(each) for each in done if each.broken]
    assert len({plan_of(each.seed).fault for each in done}) == len(SHORT)
    assert {plan_of(each.seed).moment for each in done} == set(Moment)
    assert sum(each.said_lost for each in done) > 0
    assert sum(each.was_in_time for each in done) > len(done) / 2


def test_as_many_seeds_as_there_are_cells_have_each_once_and_each_seed_is_one_plan() -> None:
    plans = [plan_of(seed) for seed in range(100, 100 + len(CELLS))]
    assert {(plan.fault, plan.moment) for plan in plans} == set(CELLS)
    assert plans == [plan_of(plan.seed) for plan in plans]


def test_a_run_that_broke_something_says_how_to_run_it_again_and_counts_in_the_table(tmp_path: Path) -> None:
    bad = Findings(seed=7, gaps=["counter p_1"], reconciled_s=11.0)
    assert "python -m kills.run --seed 7" in str(bad)
    assert bad.broken == ["gap: counter p_1", "slow: whole 11.0 s after the restart, 0.0 s of that to start"]
    rows = {row.split("  ")[0]: row.split() for row in table([bad, Findings(seed=8)]).splitlines()}
    assert rows["all"][-9:] == ["2", "1", "0", "0", "0", "1", "0", "11.0", "s"]
    assert len(rows) == len(Fault) + 2
    keep(tmp_path / "kept" / "kills.json", [bad], "a machine")
    keep(tmp_path / "kept" / "kills.json", [], "a machine")
    first, second = json.loads((tmp_path / "kept" / "kills.json").read_text())
    assert (first["runs"][0]["moment"], first["runs"][0]["broken"], second["runs"]) == ("provision", bad.broken, [])


@pytest.mark.parametrize(
    ("output", "is_whole"),
    [
        ("line 1\nline 2\n", True),
        ("line 1\nline 3\n", False),
        ("line 2\n", False),
        ("line 1\nline 1\nline 2\n", False),
        ("line 1\n", False),
    ],
)
def test_output_that_lacks_a_line_or_has_one_twice_is_found(output: str, is_whole: bool) -> None:
    findings, story = Findings(seed=0), Story(plan=plan_of(0))
    checks = Checks(ground=None, story=story, findings=findings, hit=set())  # pyright: ignore[reportArgumentType]  # it asks nothing of it
    checks.check_lines(Record(id="p", chat="c", workspace="main", kind="ender", code=3), output)
    assert bool(findings.broken) is not is_whole


def test_a_page_that_ends_within_a_line_has_no_break_of_its_own() -> None:
    assert written(page_of("line 40\n[p_1 running | bytes 0-7 of 9 | next offset=7]")) == "line 40"
    assert written(page_of("line 40\n[p_1 running | bytes 0-8 of 8 | next offset=8]")) == "line 40\n"
