"""Whatever a dead server left of a workspace, what is done about it leaves one that is whole, or none."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from support.workspace_values import recipe, request, shown

from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.workspaces.recovery import Act, plan_repair

BASE = shown(request(recipe()))
STATES = (None, *ContainerState)
NAMES = ("current", "incoming", "outgoing")


def container(name: str, state: ContainerState | None) -> Container | None:
    return None if state is None else replace(BASE, id=ContainerId(name), state=state)


def after(there: dict[str, Container], acts: tuple[tuple[Act, Container], ...]) -> dict[str, Container]:
    """What is there when the acts are done, by the name that it has then."""
    for act, which in acts:
        (name,) = (name for name, found in there.items() if found.id == which.id)
        found = there.pop(name)
        if act is Act.TAKE_BACK:
            assert "current" not in there, "the name is taken"
            there["current"] = found
        elif act is Act.START:
            there[name] = replace(found, state=ContainerState.RUNNING)
    return there


@pytest.mark.parametrize("states", list(itertools.product(STATES, repeat=3)))
def test_one_whole_workspace_or_none_is_left(states: tuple[ContainerState | None, ...]) -> None:
    current, incoming, outgoing = (container(name, state) for name, state in zip(NAMES, states, strict=True))
    plan = plan_repair(current, incoming, outgoing)
    left = after({c.id: c for c in (current, incoming, outgoing) if c is not None}, plan.acts)
    assert set(left) <= {"current"}
    assert plan.is_whole == bool(left)
    assert all(found.state not in (ContainerState.CREATED, ContainerState.EXITED) for found in left.values())
    if current is not None and current.state is not ContainerState.CREATED:
        assert left["current"].id == "current", "one that ran is not taken away"
    elif outgoing is not None:
        assert left["current"].id == "outgoing", "the one before is taken back"
