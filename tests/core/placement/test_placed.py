"""Workspaces on many nodes: where they come to, that they stay there, and that they go without a trace."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from support.placement_ground import a_swarm, left_over, open_server
from support.workspace_ground import SPEC
from support.workspace_values import SCOPE

from ws_mcp.core.errors import (
    EngineUnavailableError,
    ForbiddenError,
    ImageNotFoundError,
    InvalidArgumentError,
    LimitError,
)
from ws_mcp.core.ids import ChatId, Scope, WorkspaceName
from ws_mcp.core.workspaces.model import Ask, Sizes, WorkspaceSpec, WorkspaceState
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.rules import WorkspaceRules

pytestmark = pytest.mark.anyio

OTHER = Scope(principal=SCOPE.principal, chat=ChatId("other"))


def named(name: str, **fields: object) -> WorkspaceSpec:
    return replace(SPEC, name=WorkspaceName(name), **fields)  # pyright: ignore[reportArgumentType] - the test's own


async def test_workspaces_are_spread_over_the_nodes_and_stay_where_they_are(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = [await server.made(named(f"w{n}")) for n in range(3)]
        assert {each.hostname for each in made} == {"node-1", "node-2", "node-3"}
        again = [await server.made(named(f"w{n}")) for n in range(3)]
        assert [each.container for each in again] == [each.container for each in made]
        assert [each.name for each in await server.listed()] == ["w0", "w1", "w2"]
        assert {each.state for each in await server.listed()} == {WorkspaceState.RUNNING}
        rooms = {room.spec.name: room.spec for room in swarm.managers.found.values()}
        for each in made:
            room = rooms[f"{each.place}-room"]
            assert (room.node, room.memory_bytes, room.cpus) == (each.node, 512 << 20, 1.0)
    async with open_server(swarm, tmp_path) as server:
        assert [(each.name, each.hostname) for each in await server.listed()] == [(m.name, m.hostname) for m in made]


async def test_a_workspace_is_found_stopped_and_removed_on_its_node_without_a_trace(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        for name in ("main", "b", "c"):
            await server.made(named(name))
        found = await server.workspaces.find(SCOPE, WorkspaceName("b"))
        assert found is not None
        await server.workspaces.stop(found)
        [stopped] = [each for each in await server.listed() if each.name == "b"]
        assert stopped.state is WorkspaceState.STOPPED
        for workspace in await server.listed():
            assert await server.workspaces.remove(workspace, keep_volume=False) == ""
        assert await server.listed() == ()
        assert await server.workspaces.find(SCOPE, WorkspaceName("b")) is None
    assert await left_over(swarm) == []


async def test_kept_data_keeps_its_node_and_reserves_nothing(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        first = await server.made()
        await server.workspaces.remove(first, keep_volume=True)
        [room] = swarm.managers.found.values()
        assert (room.spec.is_held, room.spec.node) == (False, first.node)
        assert await server.listed() == ()
        assert await server.workspaces.data() == ((SCOPE, WorkspaceName("main")),)
        for name in ("b", "c", "d"):
            await server.made(named(name))
        again = await server.made()
        assert (again.node, again.volume) == (first.node, first.volume)
        await server.workspaces.remove(again, keep_volume=True)
        assert await server.workspaces.remove_data(SCOPE, WorkspaceName("main"))
        assert await server.workspaces.find(SCOPE, WorkspaceName("main")) is None
        assert f"{first.place}-room" not in swarm.managers.found


async def test_a_dry_run_leaves_nothing(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        told = await server.provision(ask=Ask(is_dry_run=True))
        assert (told.change, told.workspace) == ("created", None)
        assert await left_over(swarm) == []


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (named("main", tier=3), ForbiddenError),
        (named("main", tier=4), ForbiddenError),
        (named("main", folder="/srv", access=Access.READ_ONLY), InvalidArgumentError),
        (named("main", mounts={"/opt/x": "/srv/x"}), InvalidArgumentError),
    ],
)
async def test_what_no_node_may_give_is_refused(tmp_path: Path, spec: WorkspaceSpec, error: type[Exception]) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path, WorkspaceRules(max_tier=4, roots=(Path("/srv"),))) as server:
        with pytest.raises(error, match="spread over"):
            await server.provision(spec)
    assert await left_over(swarm) == []


async def test_a_runtime_of_the_operator_is_refused(tmp_path: Path) -> None:
    async with open_server(a_swarm(), tmp_path, WorkspaceRules(container_runtime="runsc")) as server:
        with pytest.raises(ForbiddenError, match="runsc"):
            await server.provision()


async def test_no_room_is_said_in_the_swarms_words_and_nothing_is_left(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        with pytest.raises(LimitError, match="insufficient resources on 3 nodes"):
            await server.provision(named("main", sizes=Sizes(cpus=4.0)))
    assert await left_over(swarm) == []


async def test_the_operators_constraints_hold(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path, constraints=("node.hostname==node-2",)) as server:
        made = [await server.made(named(f"w{n}")) for n in range(2)]
        assert {each.hostname for each in made} == {"node-2"}


async def test_an_image_that_a_node_does_not_have_is_an_error_that_names_it(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        with pytest.raises(ImageNotFoundError, match=r"on node 'node-\d'"):
            await server.provision(named("main", image="other:1"))
    assert await left_over(swarm) == []


async def test_a_node_that_cannot_be_reached_gets_no_workspace(tmp_path: Path) -> None:
    swarm = a_swarm()
    swarm.unnamed.add("node-1")
    async with open_server(swarm, tmp_path) as server:
        made = [await server.made(named(f"w{n}")) for n in range(3)]
        assert {each.hostname for each in made} == {"node-2", "node-3"}


async def test_drained_nodes_keep_what_they_have_and_get_nothing_new(tmp_path: Path) -> None:
    swarm = a_swarm(2)
    async with open_server(swarm, tmp_path) as server:
        first = await server.made()
        swarm.set_availability(first.hostname, "drain")
        await server.noticed()
        [seen] = await server.listed()
        assert seen.state is WorkspaceState.RUNNING
        assert any("nothing new" in note for note in seen.notes)
        second = await server.made(named("second"))
        assert second.hostname != first.hostname
        assert (await server.made()).container == first.container


async def test_limits_are_changed_where_the_workspace_is(tmp_path: Path) -> None:
    swarm = a_swarm(2)
    async with open_server(swarm, tmp_path) as server:
        first = await server.made()
        larger = await server.made(named("main", sizes=Sizes(memory_mib=1024, cpus=1.5)))
        assert (larger.node, larger.limits.cpus) == (first.node, 1.5)
        [room] = swarm.managers.found.values()
        assert (room.spec.cpus, room.spec.memory_bytes, room.spec.node) == (1.5, 1024 << 20, first.node)
        with pytest.raises(LimitError, match="does not have so much"):
            await server.provision(named("main", sizes=Sizes(cpus=3.0)))
        [room] = swarm.managers.found.values()
        assert (room.spec.cpus, room.spec.node) == (1.5, first.node)
        assert [each.limits.cpus for each in await server.listed()] == [1.5]


async def test_a_failure_on_the_node_takes_the_room_back(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        server.inside.refuses = EngineUnavailableError("no execd")
        with pytest.raises(EngineUnavailableError, match="no execd"):
            await server.provision()
        assert await left_over(swarm) == []
        await server.made()


async def test_a_cancelled_provision_leaves_nothing(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        for number in range(1, 30):
            with anyio.CancelScope() as scope:
                swarm.at_call(number, scope.cancel)
                await server.provision()
            swarm.revive()
            if not scope.cancelled_caught:
                break
            assert await left_over(swarm) == [], number
        assert [each.name for each in await server.listed()] == ["main"]


async def test_a_chat_has_as_many_workspaces_as_it_may_over_all_nodes(tmp_path: Path) -> None:
    async with open_server(a_swarm(), tmp_path, WorkspaceRules(workspaces=2)) as server:
        await server.made(named("a"))
        await server.made(named("b"))
        with pytest.raises(LimitError, match="2 workspaces"):
            await server.provision(named("c"))
        await server.made(named("a"))
        await server.made(named("c"), OTHER)


async def test_ports_are_where_the_node_is(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made(named("main", ports=(8000,)))
        assert [port.host for port in made.ports] == [swarm.node(made.hostname).address]


async def test_whose_data_there_is_is_not_told_in_part(tmp_path: Path) -> None:
    swarm = a_swarm()
    async with open_server(swarm, tmp_path) as server:
        made = await server.made()
        await server.listed()
        swarm.engine_of[made.node].fail_next("list_volumes", EngineUnavailableError("gone"))
        with pytest.raises(EngineUnavailableError, match="gone"):
            await server.workspaces.data()


def _at_one_moment(number: int) -> datetime:
    """Docker tells the age of a volume in seconds."""
    return datetime(2026, 11, 1, tzinfo=UTC)


async def test_execd_is_brought_to_each_machine_also_where_they_are_clones_of_one(tmp_path: Path) -> None:
    swarm = a_swarm()
    for engine in swarm.engine_of.values():
        engine.about = replace(engine.about, engine_id="the same on all")
        engine._now = _at_one_moment
    async with open_server(swarm, tmp_path) as server:
        made = [await server.made(replace(SPEC, name=WorkspaceName(f"w{number}"))) for number in range(2)]
        assert len({each.node for each in made}) == 2
        for each in made:
            engine = swarm.engine_of[each.node]
            (volume,) = [name for name in engine.volumes if name.startswith("wsmcp-execd-")]
            assert len(engine.volumes[volume].files.entries) > 1, each.hostname  # more than its top directory
