"""Processes on nodes that are lost: not known now, never "no such process", whoever asks and whenever it began."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_swarm import FakeSwarm
from support.placed_chat import open_execds, open_manager
from support.placement_ground import a_swarm, open_server
from support.workspace_ground import SPEC

from ws_mcp.core.errors import EngineUnavailableError, NotFoundError, PlaceUnavailableError, WsError
from ws_mcp.core.ids import ProcessId, WorkspaceName
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.model import ReadRequest, StartRequest

pytestmark = pytest.mark.anyio

STRANGE = ProcessId("p_abcdefgh")
UNKNOWN_NOW = (PlaceUnavailableError, EngineUnavailableError)


async def says(manager: ProcessManager, process: ProcessId) -> type[WsError] | None:
    try:
        await manager.read(process, ReadRequest())
    except WsError as error:
        return type(error)
    return None


def a_process() -> StartRequest:
    return StartRequest(command="sleep 36000")


async def test_a_process_on_a_lost_node_is_not_known_now_and_is_there_when_the_node_is(
    tmp_path: Path, virtual_time: None
) -> None:
    swarm = a_swarm()
    async with open_execds(swarm) as execds, open_server(swarm, tmp_path) as server:
        made = [await server.made(replace(SPEC, name=WorkspaceName(f"w{n}"))) for n in range(3)]
        async with open_manager(server, execds) as manager:
            started = [(await manager.start(each.name, a_process())).info.process for each in made]
            await execds.lose(made[0].hostname)
            for _ in range(12):
                with pytest.raises(UNKNOWN_NOW):
                    await manager.read(started[0], ReadRequest())
                assert [await says(manager, process) for process in started[1:]] == [None, None]
                with pytest.raises(UNKNOWN_NOW):
                    await manager.read(STRANGE, ReadRequest())
                listing = await manager.list(None, 100)
                assert {info.process for info in listing.processes} == set(started[1:])
                assert listing.unavailable == ("w0",)
                await anyio.sleep(1)
            with pytest.raises(UNKNOWN_NOW, match="heartbeat failure"):
                await manager.start(made[0].name, a_process())
            swarm.bring_back(made[0].hostname)
            await anyio.sleep(10)
            assert [await says(manager, process) for process in started] == [None, None, None]
            with pytest.raises(NotFoundError):
                await manager.read(STRANGE, ReadRequest())


async def test_a_server_that_starts_in_the_middle_never_says_that_there_is_no_such_process(
    tmp_path: Path, virtual_time: None
) -> None:
    swarm = a_swarm()
    async with open_execds(swarm) as execds:
        async with open_server(swarm, tmp_path) as server, open_manager(server, execds) as manager:
            made = await server.made()
            process = (await manager.start(made.name, a_process())).info.process
        await execds.lose(made.hostname)
        async with open_server(swarm, tmp_path) as server, open_manager(server, execds) as manager:
            for _ in range(5):
                with pytest.raises(UNKNOWN_NOW):
                    await manager.read(process, ReadRequest())
                assert (await manager.list(None, 100)).unavailable == ("main",)
                await anyio.sleep(1)
            swarm.bring_back(made.hostname)
            await anyio.sleep(10)
            assert await says(manager, process) is None


async def _lose_all(swarm: FakeSwarm) -> None:
    for hostname in ("node-1", "node-2", "node-3"):
        await swarm.lose(hostname)


async def test_what_another_server_began_just_now_is_found_before_an_event_tells_of_it(
    tmp_path: Path, virtual_time: None
) -> None:
    swarm = a_swarm()
    async with (
        open_execds(swarm) as execds,
        open_server(swarm, tmp_path) as server,
        open_server(swarm, tmp_path) as other,
        open_manager(server, execds) as manager,
        open_manager(other, execds) as others,
    ):
        await other.listed()
        assert await says(others, STRANGE) is NotFoundError
        with swarm.unheard():
            for name in ("one", "two"):
                made = await server.made(replace(SPEC, name=WorkspaceName(name)))
                process = (await manager.start(made.name, a_process())).info.process
                assert await says(others, process) is None


async def _leaderless(swarm: FakeSwarm) -> None:
    await anyio.lowlevel.checkpoint()
    swarm.is_leaderless = True


async def _cut_off(swarm: FakeSwarm) -> None:
    for hostname in ("node-1", "node-2", "node-3"):
        await swarm.cut_off(hostname)


@pytest.mark.parametrize("fault", [_lose_all, _leaderless, _cut_off])
@pytest.mark.parametrize("restarts", [False, True])
async def test_whatever_does_not_answer_no_process_is_denied_meanwhile(
    tmp_path: Path, virtual_time: None, fault: Callable[[FakeSwarm], Awaitable[None]], restarts: bool
) -> None:
    swarm = a_swarm()
    async with open_execds(swarm) as execds:
        async with open_server(swarm, tmp_path) as server, open_manager(server, execds) as manager:
            made = await server.made()
            process = (await manager.start(made.name, a_process())).info.process
            if not restarts:
                await fault(swarm)
                for execd in execds.by_place.values():
                    execd.cut()
                for _ in range(20):
                    assert await says(manager, process) is not NotFoundError
                    await anyio.sleep(0.7)
                return
        await fault(swarm)
        async with open_server(swarm, tmp_path) as server, open_manager(server, execds) as manager:
            for turn in range(30):
                assert await says(manager, process) is not NotFoundError
                await anyio.sleep(0.7)
                if turn == 15:
                    swarm.is_leaderless = False
                    for hostname in ("node-1", "node-2", "node-3"):
                        swarm.bring_back(hostname)
            assert await says(manager, process) is None
            with suppress(WsError):
                await manager.list(None, 10)
