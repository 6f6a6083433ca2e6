"""The status of a dev container: every state answers every event, and what may be done when."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from ws_mcp.core.devcontainers.lifecycle import (
    TRANSITIONAL,
    TRANSITIONS,
    Act,
    Event,
    after,
    check_allowed,
    is_allowed,
    seen,
)
from ws_mcp.core.devcontainers.model import Status
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import ConflictError

RESTING = sorted(set(Status) - TRANSITIONAL)
LOOKS = [event for event in Event if event.name.startswith(("SEEN", "DEFINITION", "ENGINE"))]


def test_every_state_answers_every_event() -> None:
    assert set(TRANSITIONS) == set(product(Status, Event))


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([Event.START_ASKED, Event.SUCCEEDED], Status.RUNNING),
        ([Event.START_ASKED, Event.FAILED_WITH_CONTAINER], Status.RUNNING),
        ([Event.START_ASKED, Event.FAILED_WITHOUT_CONTAINER], Status.ERROR),
        ([Event.START_ASKED, Event.FAILED_WITHOUT_CONTAINER, Event.SEEN_ABSENT], Status.ERROR),
        ([Event.START_ASKED, Event.FAILED_WITHOUT_CONTAINER, Event.SEEN_RUNNING], Status.RUNNING),
        ([Event.START_ASKED, Event.FAILED_WITHOUT_CONTAINER, Event.START_ASKED], Status.STARTING),
        ([Event.SEEN_RUNNING, Event.STOP_ASKED, Event.STOPPED], Status.STOPPED),
        ([Event.SEEN_RUNNING, Event.STOP_ASKED, Event.FAILED_WITH_CONTAINER], Status.RUNNING),
        ([Event.SEEN_RUNNING, Event.STOP_ASKED, Event.FAILED_WITHOUT_CONTAINER], Status.ABSENT),
        ([Event.SEEN_STOPPED, Event.REMOVE_ASKED, Event.REMOVED], Status.ABSENT),
        ([Event.SEEN_RUNNING, Event.REMOVE_ASKED, Event.FAILED_WITH_CONTAINER], Status.STOPPED),
        ([Event.SEEN_RUNNING, Event.REMOVE_ASKED, Event.FAILED_WITHOUT_CONTAINER], Status.ABSENT),
        ([Event.SEEN_RUNNING, Event.SEEN_ABSENT], Status.ABSENT),
        ([Event.SEEN_RUNNING, Event.SEEN_PAUSED], Status.PAUSED),
        ([Event.SEEN_RUNNING, Event.DEFINITION_GONE], Status.ORPHANED),
        ([Event.SEEN_RUNNING, Event.DEFINITION_GONE, Event.ENGINE_SILENT], Status.ORPHANED),
        ([Event.SEEN_RUNNING, Event.DEFINITION_GONE, Event.SEEN_RUNNING], Status.RUNNING),
        ([Event.SEEN_RUNNING, Event.DEFINITION_UNREADABLE], Status.UNKNOWN),
        ([Event.SEEN_RUNNING, Event.ENGINE_SILENT, Event.SEEN_STOPPED], Status.STOPPED),
    ],
)
def test_a_dev_container_that_was_absent_becomes(events: list[Event], status: Status) -> None:
    assert after(Status.ABSENT, events) is status


@pytest.mark.parametrize("status", RESTING)
def test_without_a_container_and_without_a_definition_there_is_nothing_to_show(status: Status) -> None:
    gone = after(status, [Event.SEEN_ABSENT, Event.DEFINITION_GONE])
    assert gone is None
    assert after(Status.ABSENT, [Event.DEFINITION_GONE, Event.SEEN_RUNNING]) is None


@given(status=sampled_from(sorted(TRANSITIONAL)), looks=lists(sampled_from(LOOKS)))
def test_what_is_seen_while_something_is_done_changes_nothing(status: Status, looks: list[Event]) -> None:
    assert after(status, looks) is status


@given(status=sampled_from(sorted(TRANSITIONAL)), asked=sampled_from([e for e in Event if e.name.endswith("_ASKED")]))
def test_nothing_is_begun_while_something_is_done(status: Status, asked: Event) -> None:
    assert after(status, [asked]) is status


@given(status=sampled_from(sorted(Status)), events=lists(sampled_from(sorted(Event))))
def test_every_operation_comes_to_an_end(status: Status, events: list[Event]) -> None:
    now = after(status, events)
    if now in TRANSITIONAL:
        assert now is not None
        outcomes = (Event.SUCCEEDED, Event.FAILED_WITH_CONTAINER, Event.FAILED_WITHOUT_CONTAINER)
        assert all(after(now, [outcome]) in RESTING for outcome in outcomes)


@given(
    status=sampled_from([s for s in RESTING if s is not Status.ERROR]),
    looks=lists(
        sampled_from([Event.SEEN_RUNNING, Event.SEEN_PAUSED, Event.SEEN_STOPPED, Event.SEEN_ABSENT]), min_size=1
    ),
)
def test_the_last_look_decides(status: Status, looks: list[Event]) -> None:
    assert after(status, looks) is after(Status.ABSENT, looks[-1:])


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (None, Event.SEEN_ABSENT),
        (ContainerState.RUNNING, Event.SEEN_RUNNING),
        (ContainerState.RESTARTING, Event.SEEN_RUNNING),
        (ContainerState.PAUSED, Event.SEEN_PAUSED),
        (ContainerState.CREATED, Event.SEEN_STOPPED),
        (ContainerState.EXITED, Event.SEEN_STOPPED),
        (ContainerState.DEAD, Event.SEEN_STOPPED),
        (ContainerState.REMOVING, Event.SEEN_STOPPED),
        (ContainerState.UNKNOWN, Event.SEEN_STOPPED),
    ],
)
def test_a_state_of_the_engine_is_seen_as(state: ContainerState | None, event: Event) -> None:
    assert seen(state) is event


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        (Status.ABSENT, {Act.RECREATE}),
        (Status.RUNNING, {Act.RECREATE, Act.STOP, Act.REMOVE, Act.RUN}),
        (Status.PAUSED, {Act.RECREATE, Act.START, Act.STOP, Act.REMOVE}),
        (Status.STOPPED, {Act.RECREATE, Act.START, Act.REMOVE}),
        (Status.STARTING, set()),
        (Status.STOPPING, set()),
        (Status.DELETING, set()),
        (Status.ERROR, {Act.RECREATE}),
        (Status.ORPHANED, {Act.START, Act.STOP, Act.REMOVE, Act.RUN}),
        (Status.UNKNOWN, set(Act)),  # each fails by itself, and says it better
    ],
)
def test_what_may_be_done(status: Status, allowed: set[Act]) -> None:
    assert {act for act in Act if is_allowed(act, status)} == allowed
    for act in Act:
        if act in allowed:
            check_allowed(act, status, "shop")
        else:
            with pytest.raises(ConflictError, match=f"'shop' is {status.value}.*cannot {act.value} it"):
                check_allowed(act, status, "shop")


def test_a_second_recreate_is_pointed_to_the_job_of_the_first() -> None:
    with pytest.raises(ConflictError, match=r"is starting.*recreate job j_12 is at it.*repeat the call that began it"):
        check_allowed(Act.RECREATE, Status.STARTING, "shop", "recreate job j_12")


def test_a_job_is_not_named_where_none_is_in_the_way() -> None:
    with pytest.raises(ConflictError) as refused:
        check_allowed(Act.STOP, Status.STOPPED, "shop", "recreate job j_12")
    assert "j_12" not in str(refused.value)
