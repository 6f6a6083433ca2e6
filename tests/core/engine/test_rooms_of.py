"""Rooms from a manager's lists: each task is looked at once, not once for each room."""

from __future__ import annotations

import pytest

from ws_mcp.core.engine.record import Record
from ws_mcp.core.engine.swarm_body import rooms_of, service_of
from ws_mcp.core.engine.swarm_model import RoomSpec

COUNT = 30


class CountedTask(Record):
    looks = 0

    def text(self, key: str) -> str:
        CountedTask.looks += key == "ServiceID"
        return super().text(key)


def a_service(number: int) -> Record:
    spec = service_of(RoomSpec(name=f"r{number}", labels={}, image="hold:1", command=("hold",)))
    at = f"2026-01-01T00:00:{number:02}Z"
    return Record({"ID": f"s{number}", "Version": {"Index": number}, "Spec": spec, "CreatedAt": at})


def a_task(number: int) -> CountedTask:
    at = f"2026-01-01T00:00:{number:02}Z"
    said = {"ServiceID": f"s{number}", "NodeID": f"n{number}", "CreatedAt": at, "Status": {"State": "running"}}
    return CountedTask(said)


def test_each_room_gets_its_own_task_and_each_task_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountedTask, "looks", 0)
    services = [a_service(number) for number in reversed(range(COUNT))]
    rooms = rooms_of(services, [a_task(number) for number in range(COUNT - 1)])
    assert [room.id for room in rooms] == [f"s{number}" for number in range(COUNT)]
    assert [room.assigned for room in rooms] == [*(f"n{number}" for number in range(COUNT - 1)), ""]
    assert CountedTask.looks <= 2 * COUNT
