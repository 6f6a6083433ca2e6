"""How the status of a dev container follows from what happens to it, and what may be done to it when (pure).

While an operation of ours is at it, what is seen changes nothing: the operation says how it went. A look tells what was
seen first, then what is wrong with the definition or the engine, so nothing needs to be told when that is well again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from ws_mcp.core.devcontainers.model import Status
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import ConflictError


class Event(StrEnum):
    """What happens to a dev container."""

    START_ASKED = "start asked"  # to be made, made anew, or started
    STOP_ASKED = "stop asked"
    REMOVE_ASKED = "remove asked"
    SUCCEEDED = "succeeded"  # what was asked with START_ASKED
    FAILED_WITH_CONTAINER = "failed with container"  # whatever was asked; a hook failed, or the old one is still there
    FAILED_WITHOUT_CONTAINER = "failed without container"
    STOPPED = "stopped"
    REMOVED = "removed"
    SEEN_RUNNING = "seen running"
    SEEN_PAUSED = "seen paused"
    SEEN_STOPPED = "seen stopped"
    SEEN_ABSENT = "seen absent"
    DEFINITION_GONE = "definition gone"  # or its folder
    DEFINITION_UNREADABLE = "definition unreadable"
    ENGINE_SILENT = "engine silent"


class Act(StrEnum):
    """What is asked for."""

    RECREATE = "recreate"
    START = "start"
    STOP = "stop"
    REMOVE = "remove"
    RUN = "run a process in"


TRANSITIONAL = frozenset({Status.STARTING, Status.STOPPING, Status.DELETING})
_RESTING = frozenset(Status) - TRANSITIONAL

_SEEN = {
    Event.SEEN_RUNNING: Status.RUNNING,
    Event.SEEN_PAUSED: Status.PAUSED,
    Event.SEEN_STOPPED: Status.STOPPED,
    Event.SEEN_ABSENT: Status.ABSENT,
}
_OUTCOMES = {
    Event.SUCCEEDED: Status.RUNNING,
    Event.FAILED_WITH_CONTAINER: Status.RUNNING,
    Event.FAILED_WITHOUT_CONTAINER: Status.ERROR,
    Event.STOPPED: Status.STOPPED,
    Event.REMOVED: Status.ABSENT,
}
_ASKED = {
    Event.START_ASKED: Status.STARTING,
    Event.STOP_ASKED: Status.STOPPING,
    Event.REMOVE_ASKED: Status.DELETING,
}
_TROUBLES = {
    Event.DEFINITION_GONE: Status.ORPHANED,
    Event.DEFINITION_UNREADABLE: Status.UNKNOWN,
    Event.ENGINE_SILENT: Status.UNKNOWN,
}

# What differs from the rule of its event. None: there is nothing left to show.
_EXCEPTIONS: Mapping[tuple[Status, Event], Status | None] = {
    (Status.ERROR, Event.SEEN_ABSENT): Status.ERROR,  # the error of the last attempt is what there is to say
    (Status.ABSENT, Event.DEFINITION_GONE): None,
    (Status.ERROR, Event.DEFINITION_GONE): None,
    (Status.ORPHANED, Event.DEFINITION_UNREADABLE): Status.ORPHANED,
    (Status.ORPHANED, Event.ENGINE_SILENT): Status.ORPHANED,
    (Status.STOPPING, Event.FAILED_WITHOUT_CONTAINER): Status.ABSENT,  # it went while it was being stopped
    (Status.DELETING, Event.FAILED_WITH_CONTAINER): Status.STOPPED,  # it is stopped before it is removed
    (Status.DELETING, Event.FAILED_WITHOUT_CONTAINER): Status.ABSENT,
}


def _table() -> dict[tuple[Status, Event], Status | None]:
    rules = _SEEN | _OUTCOMES | _ASKED | _TROUBLES
    table: dict[tuple[Status, Event], Status | None] = {
        (status, event): rules[event] for status in _RESTING for event in Event
    }
    for status in TRANSITIONAL:
        table |= {(status, event): _OUTCOMES.get(event, status) for event in Event}
    return table | dict(_EXCEPTIONS)


TRANSITIONS: Mapping[tuple[Status, Event], Status | None] = _table()
"""Every state answers every event."""

_DURING = "wait until that is over"
_NO_CONTAINER = "it has no container; call recreate_devcontainer to make one"
_REFUSALS: Mapping[Status, Mapping[Act, str]] = {
    Status.ABSENT: dict.fromkeys((Act.START, Act.STOP, Act.REMOVE, Act.RUN), _NO_CONTAINER),
    Status.ERROR: dict.fromkeys(
        (Act.START, Act.STOP, Act.REMOVE, Act.RUN),
        "the last attempt left no container; mend what its error says, then call recreate_devcontainer",
    ),
    Status.RUNNING: {Act.START: "it runs already"},
    Status.PAUSED: {Act.RUN: "it is paused; start it first"},
    Status.STOPPED: {
        Act.STOP: "it is stopped already",
        Act.RUN: "it is stopped; start it first",
    },
    Status.ORPHANED: {
        Act.RECREATE: "its folder or its definition is gone; bring it back, or remove the container",
    },
    **dict.fromkeys(TRANSITIONAL, dict.fromkeys(Act, _DURING)),
}

_STATES = {
    ContainerState.RUNNING: Event.SEEN_RUNNING,
    ContainerState.RESTARTING: Event.SEEN_RUNNING,
    ContainerState.PAUSED: Event.SEEN_PAUSED,
}


def after(status: Status, events: Iterable[Event]) -> Status | None:
    """The status when these have happened, in that order. None: there is nothing left to show."""
    now: Status | None = status
    for event in events:
        now = TRANSITIONS[now, event] if now is not None else None
    return now


def seen(state: ContainerState | None) -> Event:
    """What a look at the engine tells; None: there is no container."""
    return Event.SEEN_ABSENT if state is None else _STATES.get(state, Event.SEEN_STOPPED)


def is_allowed(act: Act, status: Status) -> bool:
    """Whether something may be done now."""
    return act not in _REFUSALS.get(status, {})


def check_allowed(act: Act, status: Status, name: str, job: str = "") -> None:
    """Refuse what cannot be done now. `job`: what is at it, in words that the caller can use ("recreate job j_12").

    Raises:
        ConflictError
    """
    why = _REFUSALS.get(status, {}).get(act)
    if why is None:
        return
    if why is _DURING and job:
        why = f"{job} is at it: {why}, or repeat the call that began it to follow it"
    raise ConflictError(f"dev container {name!r} is {status.value}, so this call cannot {act.value} it now: {why}")
