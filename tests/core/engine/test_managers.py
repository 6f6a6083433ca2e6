"""The doors to a swarm when managers elect, answers are lost, and the wrong engine answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.http_server import Server, hang, open_server
from support.scripted_swarm import LEADERLESS, WORKER, ScriptedManager

from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.node_ways import node_ways_of
from ws_mcp.core.engine.nodes import SwarmNodeEngines, open_swarm
from ws_mcp.core.engine.swarm import Patience, SwarmManagers
from ws_mcp.core.engine.swarm_model import OverlaySpec, RoomSpec
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    InvalidArgumentError,
    SubnetTakenError,
)

pytestmark = pytest.mark.usefixtures("real_io")

SPEC = RoomSpec(name="r", labels={"a": "b"}, image="hold:1", command=("/execd", "hold"), memory_bytes=1 << 30, cpus=0.5)
QUICK = Patience(election_s=10.0, poll_s=0.01, subnet_s=0.05)
IMPATIENT = Patience(election_s=0.0, poll_s=0.01, subnet_s=0.05)


@asynccontextmanager
async def open_manager(
    directory: Path, manager: ScriptedManager, patience: Patience = QUICK
) -> AsyncGenerator[SwarmManagers]:
    """The door to one manager."""
    path = directory / "one"
    async with (
        open_server(path, manager.answer),
        open_swarm(str(path), node_ways_of([]), environment={}, patience=patience) as doors,
    ):
        yield doors[0]


async def test_an_election_is_waited_for(tmp_path: Path) -> None:
    manager = ScriptedManager("one")
    manager.refusals = [(503, LEADERLESS), (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded")]
    async with open_manager(tmp_path, manager) as door:
        await door.create_room(SPEC)
        assert (await door.room("r")).spec == SPEC
    assert not manager.refusals


async def test_without_a_leader_the_managers_words_are_passed_on(tmp_path: Path) -> None:
    manager = ScriptedManager("one")
    manager.refusals = [(503, LEADERLESS)] * 2
    async with open_manager(tmp_path, manager, IMPATIENT) as door:
        with pytest.raises(EngineUnavailableError, match=r"no manager of the swarm can be asked now: .*leader"):
            await door.nodes()


async def test_an_engine_that_is_no_manager_is_not_waited_for(tmp_path: Path) -> None:
    manager = ScriptedManager("one")
    manager.refusals = [(503, WORKER)]
    async with open_manager(tmp_path, manager, Patience(election_s=1e9)) as door:
        with pytest.raises(EngineUnavailableError, match="not a swarm manager"):
            await door.swarm_id()
        assert await door.swarm_id() == "swarm"


async def test_a_room_whose_answer_was_lost_is_found_made(tmp_path: Path) -> None:
    manager = ScriptedManager("one")
    manager.drops = 1
    async with open_manager(tmp_path, manager) as door:
        await door.create_room(SPEC)
        with pytest.raises(EngineConflictError):
            await door.create_room(SPEC)
        manager.drops = 1
        with pytest.raises(EngineConflictError):
            await door.create_room(replace(SPEC, cpus=1.0))
        room = await door.room("r")
        manager.drops = 1
        await door.change_room(room, replace(SPEC, cpus=2.0))
        assert (await door.room("r")).spec.cpus == 2.0


async def test_what_swarm_writes_by_itself_is_no_conflict(tmp_path: Path) -> None:
    manager = ScriptedManager("one")
    async with open_manager(tmp_path, manager) as door:
        await door.create_room(SPEC)
        room = await door.room("r")
        manager.ticks = 2
        await door.change_room(room, replace(SPEC, cpus=2.0))
        with pytest.raises(EngineConflictError):
            await door.change_room(room, replace(SPEC, cpus=1.0))
        room = await door.room("r")
        manager.ticks = 100
        with pytest.raises(EngineConflictError):
            await door.change_room(room, replace(SPEC, cpus=1.0))
        assert (await door.room("r")).spec.cpus == 2.0
        with pytest.raises(EngineNotFoundError):
            await door.change_room(replace(room, id="older"), replace(SPEC, cpus=1.0))
        with pytest.raises(InvalidArgumentError):
            await door.create_room(replace(SPEC, command=()))


async def test_a_network_without_a_subnet_is_none(tmp_path: Path) -> None:
    manager = ScriptedManager("one")
    async with open_manager(tmp_path, manager) as door:
        manager.is_out_of_subnets = True
        with pytest.raises(SubnetTakenError):
            await door.create_overlay(OverlaySpec(name="n", labels={}))
        assert manager.networks == {}
        manager.networks["half"] = {"Name": "half", "IPAM": {"Config": None}}
        with pytest.raises(EngineNotFoundError):
            await door.overlay("half")
        with pytest.raises(SubnetTakenError):
            await door.create_overlay(OverlaySpec(name="half", labels={}))
        manager.is_out_of_subnets, manager.drops = False, 1
        await door.create_overlay(OverlaySpec(name="half", labels={}))
        assert (await door.overlay("half")).subnets == ("10.0.9.0/24",)


@asynccontextmanager
async def open_two(
    directory: Path, one: ScriptedManager, two: ScriptedManager, way: str = "two={}/two"
) -> AsyncGenerator[tuple[SwarmManagers, SwarmNodeEngines, Server]]:
    """The doors to a swarm of two managers; the server is at the first. The last value is the second's server."""
    ways = node_ways_of([way.format(directory)])
    async with (
        open_server(directory / "one", one.answer),
        open_server(directory / "two", two.answer) as second,
        open_swarm(str(directory / "one"), ways, environment={}, patience=QUICK) as (managers, engines),
    ):
        yield managers, engines, second


async def test_another_manager_is_asked_when_the_first_cannot_say(tmp_path: Path) -> None:
    one, two = ScriptedManager("one", ("one", "two")), ScriptedManager("two", ("one", "two"))
    async with open_two(tmp_path, one, two) as (managers, _, _):
        assert [node.hostname for node in await managers.nodes()] == ["one", "two"]
        one.refusals = [(503, LEADERLESS)] * 1000
        await managers.create_room(SPEC)
        assert not one.service
        assert two.service
        left = len(one.refusals)
        await managers.room("r")
        # Whoever answered last is asked first.
        assert len(one.refusals) == left


async def test_a_nodes_engine_is_asked_once_who_it_is(tmp_path: Path) -> None:
    one, two = ScriptedManager("one", ("one", "two")), ScriptedManager("two")
    async with open_two(tmp_path, one, two) as (managers, engines, second):
        first, other = await managers.nodes()
        engine = engines.engine(other)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(engine.list_networks, {})
        assert [r.target.partition("/")[2].rpartition("/")[2] for r in second.requests].count("info") == 1
        # The engine that the server was given is its own node's, whoever else was named.
        assert (await engines.engine(first).info()).swarm_node == "one"
        assert engines.engine(replace(other, address="192.0.2.9")) is engine


async def test_another_engine_in_a_nodes_place_is_not_it(tmp_path: Path) -> None:
    one, two = ScriptedManager("one", ("one", "two", "three")), ScriptedManager("three")
    async with open_two(tmp_path, one, two) as (managers, engines, _):
        three, two_node = sorted(await managers.nodes(), key=lambda node: node.hostname)[1:]
        with pytest.raises(EngineUnavailableError, match="is node three of a swarm, not node two"):
            await engines.engine(two_node).list_containers({})
        with pytest.raises(EngineUnavailableError, match="nobody said how the engine of node 'three'"):
            await engines.engine(three).list_containers({})
        two.node = ""
        with pytest.raises(EngineUnavailableError, match="is in no swarm"):
            await engines.engine(two_node).list_containers({})


async def test_a_node_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    one = ScriptedManager("one", ("one", "two"))
    ways, deadlines = node_ways_of([f"two={tmp_path}/two"]), Deadlines(connect_s=0.2)
    async with (
        open_server(tmp_path / "one", one.answer),
        open_server(tmp_path / "two", hang),
        open_swarm(str(tmp_path / "one"), ways, environment={}, deadlines=deadlines) as (managers, engines),
    ):
        _, other = await managers.nodes()
        with pytest.raises(EngineTimeoutError):
            await engines.engine(other).info()
