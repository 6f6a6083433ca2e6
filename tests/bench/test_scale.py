"""What is asked when there are many nodes grows with the nodes, and a list asks nobody; nothing is quadratic."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.bench.scale import Cost, run

HOSTS, WORKSPACES, TIMES = 5, 4, 4


@pytest.fixture(scope="module")
def small() -> Mapping[str, Cost]:
    return run(HOSTS, WORKSPACES)


@pytest.fixture(scope="module")
def wide() -> Mapping[str, Cost]:
    return run(TIMES * HOSTS, WORKSPACES)


@pytest.fixture(scope="module")
def deep() -> Mapping[str, Cost]:
    return run(HOSTS, TIMES * WORKSPACES)


def looks(cost: Cost) -> float:
    return cost.engines - cost.inspections


@pytest.mark.parametrize("name", ["list", "all"])
def test_a_list_asks_nobody(small: Mapping[str, Cost], wide: Mapping[str, Cost], name: str) -> None:
    for costs in (small, wide):
        assert (costs[name].managers, costs[name].engines, costs[name].state) == (0, 0, 0)


def test_each_container_is_inspected_when_it_is_first_seen_and_not_again_because_of_others(
    small: Mapping[str, Cost], wide: Mapping[str, Cost], deep: Mapping[str, Cost]
) -> None:
    for costs, workspaces in ((small, HOSTS * WORKSPACES), (wide, TIMES * HOSTS * WORKSPACES)):
        assert workspaces <= costs["first"].inspections <= 2 * workspaces
    assert [costs["change"].inspections for costs in (small, wide, deep)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["first", "quiet", "upkeep", "lost minute"])
def test_looks_grow_with_the_nodes_and_not_with_the_workspaces(
    small: Mapping[str, Cost], wide: Mapping[str, Cost], deep: Mapping[str, Cost], name: str
) -> None:
    # What goes on beside it falls into this time or the next: a few calls of each node.
    beside = 3 * HOSTS
    assert looks(wide[name]) <= TIMES * (looks(small[name]) + beside)
    assert looks(deep[name]) <= looks(small[name]) + beside
    assert deep[name].state <= small[name].state + beside


@pytest.mark.parametrize("name", ["first", "change", "quiet", "upkeep", "lost", "lost minute"])
def test_managers_are_asked_as_often_however_many_nodes_and_workspaces_there_are(
    small: Mapping[str, Cost], wide: Mapping[str, Cost], deep: Mapping[str, Cost], name: str
) -> None:
    assert wide[name].managers == deep[name].managers == small[name].managers


def test_one_lost_node_or_one_change_concerns_no_other_node(
    small: Mapping[str, Cost], wide: Mapping[str, Cost], deep: Mapping[str, Cost]
) -> None:
    # Beside what each node is asked in such a second anyway.
    for name in ("change", "lost"):
        assert looks(deep[name]) <= looks(small[name]) + HOSTS
        assert looks(wide[name]) <= looks(small[name]) + TIMES * HOSTS
