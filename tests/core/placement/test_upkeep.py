"""Rooms and what is on the nodes are kept in step; an operator gives up what is on a lost node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_swarm import FakeSwarm
from support.placement_ground import Cluster, a_swarm, left_over, open_server
from support.workspace_ground import SPEC, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import ConflictError, EngineTimeoutError, InvalidArgumentError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.placement import upkeep
from ws_mcp.core.placement.giving_up import GivenUp, give_up
from ws_mcp.core.placement.rooms import lock_name
from ws_mcp.core.workspaces.model import WorkspaceState
from ws_mcp.doctor_swarm import room_facts

pytestmark = pytest.mark.anyio


async def given_up(server: Cluster, which: str, *, is_forced: bool = False) -> GivenUp:
    return await give_up(server.placement, server.state, which, utc_now, is_forced=is_forced)


async def test_what_was_made_before_there_was_a_swarm_gets_a_room_where_it_is(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_service(swarm.engine("node-2"), tmp_path) as service:
        old = await service.made()
        gone = await service.made(replace(SPEC, name=WorkspaceName("gone")))
        await service.workspaces.remove(gone, keep_volume=True)
    async with open_server(swarm, tmp_path) as server:
        found = await server.made()
        assert (found.container, found.hostname) == (old.container, "node-2")
        rooms = {room.spec.name.removesuffix("-room"): room.spec for room in swarm.managers.found.values()}
        node = swarm.node("node-2").id
        assert (rooms[old.place].node, rooms[old.place].is_held) == (node, True)
        assert (rooms[gone.place].node, rooms[gone.place].is_held) == (node, False)


async def test_rooms_of_nobody_go_after_a_while_and_others_stay(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        other = await server.made(replace(SPEC, name=WorkspaceName("other")))
        await server.listed()
        engine = swarm.engine_of[made.node]
        await engine.remove(made.container or pytest.fail("it has one"))
        await engine.remove_volume(made.volume)
        await server.placement.upkeep.look()
        assert len(swarm.managers.found) == 2
        await anyio.sleep(upkeep.GRACE_S + 1)
        await server.placement.upkeep.look()
        assert list(swarm.managers.found) == [f"{other.place}-room"]


async def test_a_room_in_which_only_data_is_left_holds_nothing_after_a_while(
    tmp_path: Path, virtual_time: None
) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        await server.listed()
        # As where a server removed the container and died before the managers heard of it.
        await swarm.engine_of[made.node].remove(made.container or pytest.fail("it has one"))
        await anyio.sleep(1)  # events take a moment
        await server.placement.upkeep.look()
        await anyio.sleep(upkeep.GRACE_S + 1)
        await server.placement.upkeep.look()
        (room,) = swarm.managers.found.values()
        assert (room.spec.node, room.spec.is_held) == (made.node, False)
        again = await server.made()
        assert again.node == made.node


async def test_a_room_that_got_too_large_for_its_node_holds_what_its_workspace_has_again(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        await server.listed()
        room = await swarm.managers.room(f"{made.place}-room")
        # A server enlarged the room, believed that the node has so much, and died before it changed the workspace.
        await swarm.managers.change_room(room, replace(room.spec, memory_bytes=1 << 40))
        await swarm.managers.rooms({})
        (room,) = await swarm.managers.rooms({})
        assert (room.assigned, room.task_state) == ("", "pending")
        assert "insufficient resources" in room.message
        await server.noticed()
        await server.placement.upkeep.look()
        await swarm.managers.rooms({})
        (room,) = await swarm.managers.rooms({})
        assert (room.spec.memory_bytes, room.spec.node) == (made.limits.memory_bytes, made.node)
        assert (room.assigned, room.task_state) == (made.node, "running")
        assert (await server.made()).container == made.container


async def test_a_workspace_that_nothing_is_reserved_for_says_so_until_there_is_room(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        before = (await server.listed())[0].notes
        swarm.set_availability(made.hostname, "drain")
        swarm.change(made.hostname, cpus=0.5, availability="active")
        await server.noticed()
        (seen,) = await server.listed()
        assert seen.state is WorkspaceState.RUNNING
        (note,) = set(seen.notes) - set(before)
        assert "too little left" in note
        assert "insufficient resources" in note
        assert [fact.text for fact in room_facts(server.placement.survey.rooms.values())] == [f"main: {note}"]
        swarm.change(made.hostname, cpus=2.0)
        await server.noticed()
        await server.noticed()
        assert (await server.listed())[0].notes == before
        assert room_facts(server.placement.survey.rooms.values()) == []


async def test_nothing_follows_from_a_node_that_does_not_answer(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        await server.listed()
        await swarm.lose(made.hostname)
        for _ in range(3):
            await anyio.sleep(upkeep.GRACE_S + 1)
            await server.placement.upkeep.look()
        assert list(swarm.managers.found) == [f"{made.place}-room"]


async def test_an_operator_gives_up_what_is_on_a_lost_node_and_nothing_is_there_twice(
    tmp_path: Path, virtual_time: None
) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        await server.listed()
        with pytest.raises(ConflictError, match="is ready"):
            await given_up(server, "main")
        with pytest.raises(ConflictError, match="is ready"):
            await given_up(server, "main", is_forced=True)
        with pytest.raises(InvalidArgumentError, match="no workspace"):
            await given_up(server, "other")
        await swarm.lose(made.hostname)
        done = await given_up(server, "main")
        assert (done.name, done.before) == ("main", made.hostname)
        assert done.after != made.hostname
        assert await server.listed() == ()
        again = await server.made()
        assert again.hostname == done.after
        swarm.bring_back(made.hostname)
        await anyio.sleep(10)
        assert [each.container for each in await server.listed()] == [again.container]
        await server.placement.upkeep.look()
        assert await containers(swarm) == [again.container]
        await server.workspaces.remove(again, keep_volume=False)
    assert await left_over(swarm) == [f"{made.place}-data", f"{made.place}-net"]


async def test_a_node_that_comes_back_while_another_server_is_at_the_workspace_loses_nothing(
    tmp_path: Path, virtual_time: None
) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        await swarm.lose(made.hostname)
        refusals: list[str] = []

        async def ask() -> None:
            with pytest.raises(ConflictError) as refused:
                await given_up(server, "main")
            refusals.append(str(refused.value))

        async with anyio.create_task_group() as tasks, server.state.lock(lock_name(made.place)):
            tasks.start_soon(ask)
            await anyio.sleep(10)
            assert refusals == []  # it waits for the lock
            swarm.bring_back(made.hostname)
        assert "is ready, so nothing there is lost" in refusals[0]
        assert [each.container for each in await server.listed()] == [made.container]


async def test_what_is_on_a_drained_node_is_given_up_by_force_only(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        swarm.set_availability(made.hostname, "drain")
        with pytest.raises(ConflictError, match="--force"):
            await given_up(server, made.place)
        done = await given_up(server, made.place, is_forced=True)
        assert done.after != made.hostname
        again = await server.made()
        assert (again.hostname, again.state) == (done.after, WorkspaceState.RUNNING)


async def test_one_of_several_is_named_by_its_place(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        await server.made()
        await server.made(scope=replace(SCOPE, chat=type(SCOPE.chat)("c_other")))
        with pytest.raises(InvalidArgumentError, match="several chats"):
            await given_up(server, "main")


async def test_a_machine_that_joins_the_swarm_again_keeps_what_is_on_it(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        await server.listed()
        swarm.change(made.hostname, state="down", message="the node left the swarm")
        joined = swarm.add_node("joined")
        swarm.engine_of[joined.id].containers.update(swarm.engine_of[made.node].containers)
        for _ in range(3):
            await anyio.sleep(upkeep.LOOK_S)
            await server.placement.upkeep.look()
        assert made.container in swarm.engine_of[joined.id].containers
        assert [each.state for each in await server.listed()] == [WorkspaceState.UNKNOWN]
        swarm.remove_node(made.hostname)
        await anyio.sleep(upkeep.LOOK_S)
        await server.placement.upkeep.look()
        assert made.container in swarm.engine_of[joined.id].containers


@pytest.mark.parametrize("state", ["unknown", "disconnected"])
async def test_nothing_is_given_up_while_the_managers_do_not_know_themselves(tmp_path: Path, state: str) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        swarm.change(made.hostname, state=state)
        with pytest.raises(ConflictError, match=state):
            await given_up(server, "main", is_forced=True)
        [room] = swarm.managers.found.values()
        assert room.spec.node == made.node


async def test_what_has_no_room_yet_is_not_made_a_second_time(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm()
    async with open_service(swarm.engine("node-2"), tmp_path) as service:
        old = [await service.made(replace(SPEC, name=WorkspaceName(name))) for name in ("one", "two")]
    async with open_server(swarm, tmp_path) as server:
        swarm.managers.fail_next("create_room", EngineTimeoutError("it takes long"))
        refused = [each for each in old if not await is_made(server, each.name)]
        assert len(refused) == 1  # the other got its room all the same
        assert await containers(swarm) == [each.container for each in old]
    async with open_server(swarm, tmp_path) as server:
        again = [await server.made(replace(SPEC, name=each.name)) for each in old]
        assert [each.container for each in again] == [each.container for each in old]


async def is_made(server: Cluster, name: WorkspaceName) -> bool:
    """Whether it is there; else it is being taken over."""
    try:
        await server.made(replace(SPEC, name=name))
    except ConflictError as error:
        return "'node-2' from before" not in str(error)
    return True


async def containers(swarm: FakeSwarm) -> list[str]:
    return [container.id for engine in swarm.engine_of.values() for container in await engine.list_containers({})]
