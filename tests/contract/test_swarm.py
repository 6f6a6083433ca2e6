"""The contract of the doors to a swarm: its managers, and the engines of its nodes."""

from __future__ import annotations

from dataclasses import replace

import anyio
import anyio.to_thread
import pytest
from support.images import BUSYBOX
from support.swarm_contract import LABELS, MEMORY, Doors, OnFakeSwarm, OnRealSwarm, eventually
from support.swarm_nodes import SERVER, SwarmGround

from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.model import ContainerSpec
from ws_mcp.core.engine.node_ways import node_ways_of
from ws_mcp.core.engine.nodes import open_swarm
from ws_mcp.core.engine.swarm_model import HERE, OverlaySpec
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    InvalidArgumentError,
    SubnetTakenError,
)

HUGE = 1 << 50  # more than any machine has


class SwarmContract:
    """Rooms are found a node by the managers and stay there; a node's engine is that node's."""

    async def test_nodes_say_what_they_are(self, doors: Doors) -> None:
        nodes = await doors.managers.nodes()
        assert [node.hostname for node in nodes] == sorted(node.hostname for node in nodes)
        first, second, third = nodes[:3]
        assert (first.hostname, second.hostname, third.hostname) == ("node-1", "node-2", "node-3")
        assert [node.is_leader for node in (first, second, third)].count(True) == 1
        for node in (first, second, third):
            assert node.id
            assert node.address
            assert node.is_ready
            assert (node.availability, node.is_manager, node.is_reachable) == ("active", True, True)
            assert node.architecture in ("amd64", "arm64")
            assert node.cpus > 0
            assert node.memory_bytes > MEMORY
            assert node.engine_version
        assert len({node.id for node in nodes}) == len({node.address for node in nodes}) == len(nodes)
        assert await doors.managers.swarm_id()
        assert await doors.managers.swarm_id() == await doors.managers.swarm_id()

    async def test_a_room_is_what_was_asked_for_and_somewhere(self, doors: Doors) -> None:
        architecture = (await doors.node("node-1")).architecture
        spec = doors.spec("one", constraints=("node.hostname!=node-1",), architecture=architecture)
        room = await doors.made(spec)
        assert room.spec == spec
        assert room.id
        assert room.node in {(await doors.node(name)).id for name in ("node-2", "node-3")}
        room = await doors.until(spec.name, lambda room: room.task_state == "running")
        assert room.message == ""
        assert await doors.managers.rooms(LABELS) == (room,)
        assert await doors.managers.rooms({"test.rooms": ""}) == (room,)
        assert await doors.managers.rooms({"test.rooms": "others"}) == ()

    async def test_rooms_are_spread(self, doors: Doors) -> None:
        rooms = [await doors.made(doors.spec(name)) for name in ("a", "b", "c")]
        assert len({room.node for room in rooms}) == 3
        listed = await doors.managers.rooms(LABELS)
        assert [room.spec.name for room in listed] == [room.spec.name for room in rooms]
        assert [room.node for room in listed] == [room.node for room in rooms]

    async def test_a_pinned_room_goes_on_where_it_is(self, doors: Doors) -> None:
        room = await doors.made(doors.spec("one"))
        running = await doors.until(room.spec.name, lambda room: room.task_state == "running")
        pinned = await doors.pinned(room)
        assert (pinned.node, pinned.spec) == (room.node, replace(room.spec, node=room.node))
        assert (pinned.id, pinned.created_at, pinned.assigned) == (room.id, running.created_at, room.node)
        # Its task was not made anew.
        assert pinned.task_state == "running"

    async def test_a_change_by_somebody_else_is_not_lost(self, doors: Doors) -> None:
        room = await doors.made(doors.spec("one"))
        pinned = await doors.pinned(room)
        with pytest.raises(EngineConflictError):
            await doors.managers.change_room(room, replace(room.spec, memory_bytes=2 * MEMORY))
        assert (await doors.managers.room(room.spec.name)).spec == pinned.spec
        await doors.managers.change_room(pinned, replace(pinned.spec, labels={**LABELS, "more": "said"}))
        assert (await doors.managers.room(room.spec.name)).spec.labels == {**LABELS, "more": "said"}

    async def test_what_no_node_has_is_waited_for_in_swarms_words(self, doors: Doors) -> None:
        spec = doors.spec("huge", memory_bytes=HUGE)
        await doors.managers.create_room(spec)
        room = await doors.until(spec.name, lambda room: bool(room.message))
        assert (room.node, room.task_state) == (HERE, "pending")
        assert "insufficient resources on 3 nodes" in room.message
        small = doors.spec("elsewhere", constraints=("node.labels.disk==ssd",))
        await doors.managers.create_room(small)
        room = await doors.until(small.name, lambda room: bool(room.message))
        assert "scheduling constraints not satisfied on 3 nodes" in room.message
        other = doors.spec("other", architecture="s390x")
        await doors.managers.create_room(other)
        room = await doors.until(other.name, lambda room: bool(room.message))
        assert "unsupported platform on 3 nodes" in room.message

    async def test_a_pinned_room_that_grows_too_large_can_be_changed_back(self, doors: Doors) -> None:
        room = await doors.pinned(await doors.made(doors.spec("one")))
        await doors.changed(room.spec.name, memory_bytes=HUGE)
        found = await doors.until(room.spec.name, lambda room: bool(room.message))
        assert (found.node, found.assigned, found.task_state) == (room.node, HERE, "pending")
        assert "insufficient resources" in found.message
        await doors.changed(room.spec.name, memory_bytes=2 * MEMORY)
        found = await doors.until(room.spec.name, lambda room: room.task_state == "running")
        assert (found.node, found.assigned, found.message) == (room.node, room.node, "")
        assert found.spec.memory_bytes == 2 * MEMORY

    async def test_what_is_held_cannot_be_had_twice(self, doors: Doors) -> None:
        node = await doors.node("node-2")
        most = node.memory_bytes * 3 // 4
        room = await doors.made(doors.spec("most", node=node.id, memory_bytes=most))
        assert room.node == node.id
        second = doors.spec("second", node=node.id, memory_bytes=most)
        await doors.managers.create_room(second)
        await doors.until(second.name, lambda room: "insufficient resources" in room.message)
        # What is not held is free; where it is stays known.
        released = await doors.changed(room.spec.name, is_held=False)
        assert (released.node, released.assigned, released.spec.is_held) == (node.id, HERE, False)
        await doors.until(second.name, lambda room: room.assigned == node.id)
        await doors.managers.remove_room(await doors.managers.room(second.name))
        await doors.changed(room.spec.name, is_held=True)
        found = await doors.until(room.spec.name, lambda room: room.task_state == "running")
        assert found.assigned == node.id

    async def test_names_are_taken_once(self, doors: Doors) -> None:
        spec = doors.spec("one")
        await doors.managers.create_room(spec)
        with pytest.raises(EngineConflictError):
            await doors.managers.create_room(replace(spec, memory_bytes=2 * MEMORY))
        room = await doors.managers.room(spec.name)
        assert room.spec == spec
        await doors.managers.remove_room(room)
        await doors.managers.remove_room(room)
        with pytest.raises(EngineNotFoundError):
            await doors.managers.room(spec.name)
        with pytest.raises(EngineNotFoundError):
            await doors.managers.change_room(room, replace(spec, is_held=False))
        with pytest.raises(InvalidArgumentError):
            await doors.managers.room("../nodes")

    async def test_without_the_image_on_its_node_a_room_is_rejected(self, doors: Doors) -> None:
        spec = replace(doors.spec("bare"), image="localhost:1/ws-mcp-test:none")
        await doors.managers.create_room(spec)
        room = await doors.until(spec.name, lambda room: bool(room.assigned) and bool(room.message))
        assert "localhost:1/ws-mcp-test:none" in room.message

    async def test_a_drained_node_gets_no_new_rooms(self, doors: Doors) -> None:
        room = await doors.pinned(await doors.made(doors.spec("one", constraints=("node.hostname==node-2",))))
        await doors.set_availability("node-2", "drain")
        found = await doors.until(room.spec.name, lambda room: not room.assigned)
        assert found.node == room.node
        await eventually(lambda: doors.node("node-2"), lambda node: node.availability == "drain" and node.is_ready)
        others = [await doors.made(doors.spec(name)) for name in ("a", "b")]
        assert room.node not in {other.node for other in others}
        await doors.set_availability("node-2", "active")
        await doors.until(room.spec.name, lambda found: found.assigned == room.node)

    async def test_changes_are_told(self, doors: Doors) -> None:
        with anyio.fail_after(60):
            async with doors.managers.open_events() as events:
                spec = doors.spec("one")
                await doors.managers.create_room(spec)
                room = await doors.managers.room(spec.name)
                async for event in events:
                    if (event.kind, event.action, event.id) == ("service", "create", room.id):
                        break
                await doors.set_availability("node-2", "pause")
                node = await doors.node("node-2")
                async for event in events:
                    if (event.kind, event.id) == ("node", node.id):
                        break

    async def test_a_network_spans_the_nodes(self, doors: Doors) -> None:
        name = f"wsmcp-net-{doors.prefix}a"
        await doors.managers.create_overlay(OverlaySpec(name=name, labels={"test.net": "a"}, subnet="10.77.1.0/24"))
        found = await doors.managers.overlay(name)
        assert (found.name, found.driver, found.subnets, found.labels) == (
            name,
            "overlay",
            ("10.77.1.0/24",),
            {"test.net": "a"},
        )
        assert [network.name for network in await doors.managers.overlays({"test.net": ""})] == [name]
        with pytest.raises(EngineConflictError):
            await doors.managers.create_overlay(OverlaySpec(name=name, labels={}))
        with pytest.raises(SubnetTakenError):
            await doors.managers.create_overlay(OverlaySpec(name=f"{name}b", labels={}, subnet="10.77.0.0/16"))
        with pytest.raises(EngineNotFoundError):
            await doors.managers.overlay(f"{name}b")
        engine = doors.engines.engine(await doors.node("node-2"))
        assert (await engine.inspect_network(name)).subnets == ("10.77.1.0/24",)
        container = await engine.create(
            ContainerSpec(name=f"{doors.prefix}c", image=BUSYBOX, command=("sleep", "1000"), network=name)
        )
        await engine.start(container)
        with pytest.raises(EngineConflictError):
            await doors.managers.remove_overlay(name)
        assert name not in {network.name for network in await engine.list_networks({})}
        await engine.remove(container)
        await eventually(lambda: _removed(doors, name), bool)
        with pytest.raises(EngineNotFoundError):
            await doors.managers.overlay(name)
        await doors.managers.remove_overlay(name)

    async def test_a_node_makes_such_networks_at_the_managers(self, doors: Doors) -> None:
        engine = doors.engines.engine(await doors.node("node-2"))
        shared, own = f"wsmcp-net-{doors.prefix}s", f"{doors.prefix}own"
        with pytest.raises(EngineNotFoundError):
            await engine.inspect_network(shared)
        await engine.create_network(shared, LABELS, is_internal=False)
        await engine.create_network(own, LABELS, is_internal=False)
        assert (await doors.managers.overlay(shared)).labels == LABELS
        assert (await engine.inspect_network(own)).driver == "bridge"
        assert [network.name for network in await engine.list_networks(LABELS)] == [own]
        await engine.remove_network(shared)
        await engine.remove_network(own)
        assert await doors.managers.overlays(LABELS) == ()

    async def test_a_nodes_engine_is_that_nodes(self, doors: Doors) -> None:
        for hostname in ("node-1", "node-2"):
            node = await doors.node(hostname)
            engine = doors.engines.engine(node)
            assert doors.engines.engine(node) is engine
            assert (await engine.info()).swarm_node == node.id

    async def test_a_node_that_nobody_named_is_not_reached(self, doors: Doors) -> None:
        engine = doors.engines.engine(await doors.node(doors.unnamed))
        with pytest.raises(EngineUnavailableError, match="nobody said"):
            await engine.list_containers({})

    async def test_a_lost_node_is_down_and_its_rooms_stay_its(self, doors: Doors) -> None:
        node = await doors.node("node-2")
        engine = doors.engines.engine(node)
        room = await doors.pinned(await doors.made(doors.spec("one", constraints=("node.hostname==node-2",))))
        container = await engine.create(
            ContainerSpec(name=f"{doors.prefix}c", image=BUSYBOX, command=("sleep", "1000"), network="none")
        )
        await doors.lose("node-2")
        with pytest.raises(EngineUnavailableError):
            await engine.inspect(container)
        await eventually(lambda: doors.node("node-2"), lambda node: node.state == "down")
        found = await doors.until(room.spec.name, lambda room: not room.assigned)
        assert (found.node, found.spec) == (node.id, room.spec)
        await doors.bring_back("node-2")
        await eventually(lambda: doors.node("node-2"), lambda node: node.is_ready)
        assert (await engine.inspect(container)).id == container
        await doors.until(room.spec.name, lambda room: room.assigned == node.id)
        await engine.remove(container)

    async def test_without_a_majority_nobody_can_be_asked(self, doors: Doors) -> None:
        spec = doors.spec("one")
        room = await doors.pinned(await doors.made(spec))
        await doors.managers.nodes()
        await doors.lose("node-2")
        await doors.lose("node-3")
        with pytest.raises(EngineUnavailableError, match="no manager of the swarm can be asked now"):
            # Whoever led goes on answering for some seconds.
            await _asked_until_refused(doors)
        with pytest.raises(EngineUnavailableError, match="no manager of the swarm can be asked now"):
            await doors.managers.create_room(doors.spec("two"))
        await doors.bring_back("node-2")
        await doors.bring_back("node-3")
        found = await doors.until(spec.name, lambda room: bool(room.assigned))
        assert (found.spec, found.node) == (room.spec, room.node)


async def _removed(doors: Doors, name: str) -> bool:
    """Whether the network could be removed: the managers hear a little late that nobody is in it."""
    try:
        await doors.managers.remove_overlay(name)
    except EngineConflictError:
        return False
    return True


async def _asked_until_refused(doors: Doors) -> None:
    with anyio.fail_after(90):
        while True:
            await doors.managers.nodes()
            await anyio.sleep(0.2)


class TestFakeSwarm(OnFakeSwarm, SwarmContract):
    """In memory."""


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestRealSwarm(OnRealSwarm, SwarmContract):
    """Three dockerds."""

    @pytest.mark.long
    async def test_without_a_majority_nobody_can_be_asked(self, doors: Doors) -> None:
        await super().test_without_a_majority_nobody_can_be_asked(doors)

    @pytest.mark.long  # core/engine/test_managers.py has it
    async def test_an_election_is_waited_for(self, doors: Doors, swarm_ground: SwarmGround) -> None:
        room = await doors.pinned(await doors.made(doors.spec("one", constraints=("node.hostname==node-2",))))
        everywhere = node_ways_of([f"*=unix://{swarm_ground.home}/{{hostname}}/docker.sock"])
        # The server's own manager goes with the leader: the others have been heard of.
        async with open_swarm(swarm_ground.nodes[0].url, everywhere) as (managers, _):
            await managers.nodes()
            leader = await anyio.to_thread.run_sync(swarm_ground.wait_leader)
            await doors.lose(leader.hostname)
            assert (await managers.room(room.spec.name)).spec == room.spec
            await managers.create_room(doors.spec("two", constraints=("node.hostname!=" + leader.hostname,)))
            found = await eventually(
                lambda: managers.room(doors.spec("two").name), lambda room: room.task_state == "running"
            )
            nodes = {node.id: node for node in await managers.nodes()}
            assert nodes[found.node].hostname != leader.hostname

    async def test_a_node_out_of_reach_is_unavailable_and_comes_back(self, swarm_ground: SwarmGround) -> None:
        first, second, _ = swarm_ground.nodes
        ways, deadlines = node_ways_of([f"{second.hostname}={second.tcp}"]), Deadlines(look_s=1.0, connect_s=2.0)
        async with open_swarm(first.url, ways, deadlines=deadlines) as (managers, engines):
            node = next(node for node in await managers.nodes() if node.hostname == second.hostname)
            engine = engines.engine(node)
            assert await engine.list_containers({"test.none": ""}) == ()
            await anyio.to_thread.run_sync(swarm_ground.cut, second.hostname, SERVER)
            with pytest.raises((EngineTimeoutError, EngineUnavailableError)):
                await engine.list_containers({"test.none": ""})
            assert next(each for each in await managers.nodes() if each.id == node.id).is_ready
            await anyio.to_thread.run_sync(swarm_ground.heal, second.hostname)
            assert await eventually(lambda: engine.list_containers({"test.none": ""}), lambda _: True) == ()
