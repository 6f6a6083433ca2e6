"""What is to be done for a container workspace: as it is, started, made, or made anew for a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.workspace_values import KEY, NAME, recipe, request, shown

from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.workspaces.model import Replace
from ws_mcp.core.workspaces.plan import Plan, Step, check_ours, plan_workspace

FOUND = shown(request(recipe()))
ASKED = ("tier is 2, not 1",)
OUTSIDE = ("image img:1 means another image now",)


def plan(
    found: Container | None,
    *,
    asked: tuple[str, ...] = (),
    outside: tuple[str, ...] = (),
    running: int | None = 0,
    replaces: Replace = Replace.IF_IDLE,
) -> Plan:
    return plan_workspace(NAME, found, asked=asked, reasons=(*asked, *outside), running=running, replace=replaces)


def in_state(state: ContainerState) -> Container:
    return replace(FOUND, state=state)


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (None, Step.CREATE),
        (in_state(ContainerState.CREATED), Step.REPLACE),
        (in_state(ContainerState.RUNNING), Step.NOTHING),
        (in_state(ContainerState.RESTARTING), Step.NOTHING),
        (in_state(ContainerState.EXITED), Step.START),
        (in_state(ContainerState.DEAD), Step.START),
    ],
)
def test_what_is_as_asked_for_stays_or_is_started(found: Container | None, step: Step) -> None:
    assert plan(found) == Plan(step=step)


@pytest.mark.parametrize(("asked", "outside"), [(ASKED, ()), ((), OUTSIDE), (ASKED, OUTSIDE)])
@pytest.mark.parametrize(("state", "running"), [(ContainerState.RUNNING, 0), (ContainerState.EXITED, None)])
def test_what_differs_and_runs_nothing_is_made_anew(
    asked: tuple[str, ...], outside: tuple[str, ...], state: ContainerState, running: int | None
) -> None:
    made = plan(in_state(state), running=running, asked=asked, outside=outside)
    assert made == Plan(step=Step.RECREATE, reasons=(*asked, *outside))


@pytest.mark.parametrize("running", [1, 5, None])
def test_processes_are_not_ended_for_what_nobody_asked_for(running: int | None) -> None:
    assert plan(FOUND, outside=OUTSIDE, running=running) == Plan(step=Step.NOTHING, reasons=OUTSIDE)


@pytest.mark.parametrize(("running", "text"), [(1, "1 process runs"), (3, "3 processes run"), (None, "may run")])
def test_processes_are_not_ended_by_a_wish_that_does_not_say_so(running: int | None, text: str) -> None:
    with pytest.raises(ConflictError, match=rf"tier is 2, not 1.*{text}.*replace=\"always\""):
        plan(FOUND, asked=ASKED, running=running)


@pytest.mark.parametrize(("asked", "outside"), [(ASKED, ()), ((), OUTSIDE)])
def test_who_says_so_gets_it_anew_whatever_runs(asked: tuple[str, ...], outside: tuple[str, ...]) -> None:
    assert plan(FOUND, running=7, replaces=Replace.ALWAYS, asked=asked, outside=outside).step is Step.RECREATE


def test_a_paused_workspace_is_left_alone() -> None:
    with pytest.raises(ConflictError, match="paused"):
        plan(in_state(ContainerState.PAUSED), asked=ASKED, replaces=Replace.ALWAYS)


@pytest.mark.parametrize("labels", [{}, {**FOUND.labels, "dev.ws-mcp.tier": "4"}])
def test_a_container_without_our_signature_is_somebody_elses(labels: dict[str, str]) -> None:
    with pytest.raises(ConflictError, match="did not make"):
        check_ours(NAME, KEY, replace(FOUND, labels=labels))
    check_ours(NAME, KEY, FOUND)
