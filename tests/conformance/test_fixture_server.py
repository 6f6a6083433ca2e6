"""What the official conformance suite says about our pipeline: every scenario that a revision is scored by passes."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from conformance.fixture_server import open_fixture_server
from support.conformance import Check, all_scenarios, checks_of, required_checks, scored


def problems_of(checks: list[Check]) -> list[str]:
    """The suite's words about what is wrong; a scenario in which nothing was seen to be right did not pass."""
    bad = [f"{check.status} {check.name}: {check.error}" for check in checks if check.is_bad]
    return bad if bad or any(check.status == "SUCCESS" for check in checks) else ["nothing was checked"]


@pytest.mark.parametrize(("revision", "count"), [("2025-11-25", 30), ("2026-07-28", 37)])
@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")  # sampling and logging, which the suite asks for
@pytest.mark.usefixtures("conformance", "real_io")
async def test_every_scored_scenario_of_a_revision_passes(revision: str, count: int, tmp_path: Path) -> None:
    with anyio.fail_after(110):
        async with open_fixture_server(tmp_path) as url:
            checks = await required_checks(url, revision, tmp_path / "results")
    wanted = scored(revision)
    assert len(wanted) == count
    problems = {scenario: problems_of(checks.get(scenario, [])) for scenario in wanted}
    assert {scenario: found for scenario, found in problems.items() if found} == {}


TASKS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)
NEVER_RUN = "tasks-status-notifications"  # which the suite skips whatever the server does


@pytest.mark.usefixtures("conformance", "real_io")
async def test_every_scenario_of_the_tasks_extension_passes(tmp_path: Path) -> None:
    problems: dict[str, list[str]] = {}
    with anyio.fail_after(110):
        async with open_fixture_server(tmp_path) as url, anyio.create_task_group() as tasks:

            async def run(scenario: str) -> None:
                problems[scenario] = problems_of(await checks_of(url, scenario, "", tmp_path / scenario))

            for scenario in TASKS:
                tasks.start_soon(run, scenario)
    assert {scenario: found for scenario, found in problems.items() if found} == {}
    assert sorted(each for each in await all_scenarios() if each.startswith("tasks-")) == sorted((*TASKS, NEVER_RUN))
