"""Rooms and nodes in the words of Swarm's API, there and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, builds, dictionaries, integers, just, sampled_from, text, tuples

from ws_mcp.core.engine.record import Record
from ws_mcp.core.engine.swarm_body import HELD_FOR, node_of, room_of, rooms_of, service_of
from ws_mcp.core.engine.swarm_model import HERE, NodeId, RoomSpec

WORDS = text("abcdefgh.-", min_size=1, max_size=8)
SPECS = builds(
    RoomSpec,
    name=WORDS,
    labels=dictionaries(WORDS, WORDS),
    image=just("hold:1"),
    command=tuples(WORDS, WORDS),
    cpus=integers(0, 64_000).map(lambda milli: milli / 1000),
    memory_bytes=integers(0, 1 << 50),
    node=sampled_from([HERE, NodeId("abc")]),
    constraints=sampled_from([(), ("node.labels.disk==ssd",), ("node.id!=x", "node.role==worker")]),
    is_held=booleans(),
    architecture=sampled_from(["", "arm64"]),
)


def service(spec: RoomSpec) -> Record:
    return Record(
        {
            "ID": "s",
            "Version": {"Index": 7},
            "CreatedAt": "2026-01-02T03:04:05.123456789Z",
            "Spec": service_of(spec),
        }
    )


@given(spec=SPECS)
def test_a_room_is_read_as_it_was_written(spec: RoomSpec) -> None:
    room = room_of(service(spec), ())
    assert room.spec == spec
    assert (room.id, room.version, room.created_at) == ("s", 7, datetime(2026, 1, 2, 3, 4, 5, 123456, UTC))
    assert (room.node, room.task_state, room.message) == (spec.node, "", "")


def test_the_containers_labels_are_not_the_rooms() -> None:
    spec = RoomSpec(name="r", labels={"a": "b"}, image="i", command=("c",))
    task = Record(service_of(spec)).record("TaskTemplate")
    assert task.record("ContainerSpec").record("Labels").strings() == {HELD_FOR: "r"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("no suitable node (insufficient resources on 3 nodes)", "insufficient resources on 3 nodes"),
        ("No such image: x", "No such image: x"),
        ("", ""),
    ],
)
def test_the_newest_task_tells(error: str, message: str) -> None:
    spec = RoomSpec(name="r", labels={}, image="i", command=("c",))

    def task(second: str, node: str, service: str = "s") -> Record:
        status = {"State": "pending", "Err": error if node == "new" else "old"}
        return Record(
            {"ServiceID": service, "NodeID": node, "Status": status, "CreatedAt": f"2026-01-01T00:00:0{second}Z"}
        )

    tasks = (task("1.5", "old"), task("1.51", "new"), task("9", "other", "t"))
    room = room_of(service(spec), tasks)
    assert (room.assigned, room.task_state, room.message) == ("new", "pending", message)
    empty = room_of(service(RoomSpec(name="r", labels={}, image="i", command=("c",), is_held=False)), tasks)
    assert (empty.assigned, empty.task_state) == (HERE, "")


def test_an_odd_node_is_no_crash() -> None:
    node = node_of(Record({"ID": "n", "Status": {"Addr": "0.0.0.0"}, "ManagerStatus": {"Addr": "[2001:db8::1]:2377"}}))
    assert (node.address, node.state, node.availability, node.is_ready) == ("2001:db8::1", "unknown", "active", False)
    assert node_of(Record(None)).address == ""
    assert room_of(Record(None), ()).created_at == datetime.fromtimestamp(0, UTC)


class Counted(dict[str, object]):
    """An object of an answer that counts how often a member of it is read."""

    reads = 0

    def get(self, key: str, default: object = None) -> object:  # pyright: ignore[reportIncompatibleMethodOverride] - enough for a record
        Counted.reads += 1
        return super().get(key, default)


def test_of_many_rooms_each_task_is_read_a_few_times_only() -> None:
    many = 200
    services = [
        Record({"ID": f"s{n}", "Spec": service_of(RoomSpec(name=f"r{n}", labels={}, image="i", command=("c",)))})
        for n in range(many)
    ]
    tasks = [Record(Counted(ServiceID=f"s{n}", NodeID=f"n{n}", CreatedAt="2026-01-02T03:04:05Z")) for n in range(many)]
    Counted.reads = 0
    rooms = rooms_of(services, tasks)
    assert {room.assigned for room in rooms} == {f"n{n}" for n in range(many)}
    assert Counted.reads <= 10 * many
