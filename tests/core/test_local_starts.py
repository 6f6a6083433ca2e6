"""What a clean stop of a server has to end."""

from __future__ import annotations

import pytest

from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId, PrincipalId, ProcessId, Scope
from ws_mcp.core.local_starts import LocalStarts

SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c_1"))
HERE, ELSEWHERE = PlaceId("w_here"), PlaceId("w_elsewhere")
ONE = ProcessId("p_1")


def address(container: str | None = None) -> PlaceAddress:
    found = ContainerId(container) if container else None
    return PlaceAddress(place=HERE, container=found, binary="", directory="/d", user="")


@pytest.fixture
def starts() -> LocalStarts:
    starts = LocalStarts()
    starts.note(SCOPE, ONE, address())
    return starts


def ended(**fields: object) -> Event:
    return Event(kind="ended", header={"event": "ended", "process": {"process": ONE, "chat": "c_1", **fields}})


def test_a_process_that_ended_is_forgotten(starts: LocalStarts) -> None:
    assert starts.running == {ONE}
    starts.hear(HERE, ended())
    assert starts.running == frozenset()


@pytest.mark.parametrize(
    ("place", "event"),
    [
        (HERE, ended(lingering=[41])),
        (ELSEWHERE, ended()),
        (HERE, Event(kind="grew", header={"event": "grew", "process": ONE, "chat": "c_1", "end": 1})),
        (HERE, Event(kind="ended", header={"event": "ended", "process": {"process": "p_2"}})),
    ],
)
def test_what_still_has_something_to_end_stays(starts: LocalStarts, place: PlaceId, event: Event) -> None:
    starts.hear(place, event)
    assert starts.running == {ONE}


def test_processes_in_containers_are_not_ended_with_a_server() -> None:
    starts = LocalStarts()
    starts.note(SCOPE, ONE, address("c" * 64))
    assert starts.running == frozenset()
