"""What many nodes, rooms and workspaces must not cost: each room is gone through once, however many nodes are lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from support.placement_ground import a_swarm, open_server
from support.workspace_values import KEY, SCOPE

from ws_mcp.core.database import Instance
from ws_mcp.core.engine.swarm_model import NodeId, Room
from ws_mcp.core.ids import PlaceId, WorkspaceName
from ws_mcp.core.placement.plan import NodeView, Wanted, room_of, united
from ws_mcp.core.placement.survey import again_s
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceState

pytestmark = pytest.mark.anyio
INSTANCE = Instance(id="0123456789abcdef", key=KEY)


class CountedRooms(dict[PlaceId, Room]):
    """Counts how often all are gone through."""

    times = 0

    def values(self):  # noqa: ANN201 - as that of a dict
        self.times += 1
        return super().values()

    def items(self):  # noqa: ANN201 - as that of a dict
        self.times += 1
        return super().items()


def a_room(number: int, node: NodeId) -> tuple[PlaceId, Room]:
    name = WorkspaceName(f"w{number}")
    place = naming.place_name(INSTANCE.id, SCOPE, name)
    wanted = Wanted(scope=SCOPE, name=name, place=place, cpus=1, memory_bytes=1)
    spec = room_of(INSTANCE, wanted, "hold:1", node=node)
    return place, Room(id=name, version=1, spec=spec, created_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_rooms_are_gone_through_once_when_all_nodes_are_lost() -> None:
    nodes = [NodeId(f"n{number}") for number in range(20)]
    rooms = CountedRooms(a_room(number, nodes[number % len(nodes)]) for number in range(60))
    views = [NodeView(node=node, hostname=node, workspaces={}, told="it is lost") for node in nodes]
    found = united(rooms, views)[SCOPE]
    assert {workspace.name for workspace in found} == {f"w{number}" for number in range(60)}
    assert {workspace.state for workspace in found} == {WorkspaceState.UNKNOWN}
    assert rooms.times == 1


async def test_nodes_that_are_lost_together_are_told_of_together(tmp_path: Path, virtual_time: None) -> None:
    swarm = a_swarm(12)
    async with open_server(swarm, tmp_path) as server:
        await server.made()
        await server.listed()
        keepers, told = server.placement.keepers, list[None]()
        on_change = keepers._on_change
        keepers._on_change = lambda: (told.append(None), on_change())[1]
        for number in range(4, 13):
            swarm.change(f"node-{number}", state="down", message="heartbeat failure")
        await anyio.sleep(1)
        assert sum(bool(keeper.why) for keeper in keepers.all()) == 9
        assert len(told) == 1


@pytest.mark.parametrize(("took_s", "next_s"), [(0.01, 3), (0.3, 3), (4, 40)])
def test_a_node_that_is_down_does_not_keep_a_server_busy_with_looks(took_s: float, next_s: float) -> None:
    assert again_s(took_s) == next_s
