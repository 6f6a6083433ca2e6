"""A paused container holds its processes: they are not gone, they only do not answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest
from support.process_ground import Ground, open_ground

from ws_mcp.core.errors import PlaceUnavailableError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.processes.model import ProcessState, ReadRequest, StartRequest, Until, Wait
from ws_mcp.core.processes.reach import OutcomeUnknownError

pytestmark = pytest.mark.usefixtures("virtual_time")

LONG = StartRequest(command="sleep 36000")
MAIN = WorkspaceName("main")
AT_ONCE_S = 3.0  # until it is looked at why nothing answers


@pytest.fixture
async def ground() -> AsyncGenerator[Ground]:
    async with open_ground("main", "other") as ground:
        yield ground


async def test_a_process_of_a_paused_workspace_is_unavailable_and_goes_on_after(ground: Ground) -> None:
    manager = ground.manager()
    process = (await manager.start(MAIN, LONG)).info.process
    ground.pause("main")
    for one in (manager, ground.manager()):
        listing = await one.list(None, 10)
        assert (listing.processes, listing.total, listing.unavailable) == ((), 0, ("main",))
        with anyio.fail_after(AT_ONCE_S), pytest.raises(PlaceUnavailableError, match="paused; unpause it"):
            await one.read(process, ReadRequest())
    ground.unpause("main")
    listing = await manager.list(None, 10)
    assert [(info.process, info.state) for info in listing.processes] == [(process, ProcessState.RUNNING)]
    assert (await manager.signal(process, "KILL", 0)).info.state is ProcessState.ENDED


async def test_a_wait_ends_early_when_its_workspace_is_paused(ground: Ground) -> None:
    manager = ground.manager()
    process = (await manager.start(MAIN, LONG)).info.process
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            with pytest.raises(PlaceUnavailableError, match="paused"):
                await manager.read(process, ReadRequest(wait=Wait(until=Until.EXIT, wait_s=45)))

        tasks.start_soon(wait)
        await anyio.sleep(2)
        ground.pause("main")
    assert anyio.current_time() - began < 10


async def test_a_wait_in_a_workspace_that_answers_is_left_alone(ground: Ground) -> None:
    manager = ground.manager()
    process = (await manager.start(MAIN, LONG)).info.process
    listings = ground.listings
    await manager.read(process, ReadRequest(wait=Wait(until=Until.EXIT, wait_s=45)))
    assert ground.listings == listings


async def test_a_start_into_a_paused_workspace_says_so_at_once_and_what_became_of_it(ground: Ground) -> None:
    manager = ground.manager()
    await manager.start(MAIN, LONG)
    ground.pause("main")
    with anyio.fail_after(AT_ONCE_S), pytest.raises(OutcomeUnknownError, match=r"p_2 was started .* paused"):
        await manager.start(MAIN, LONG)
    ground.unpause("main")
    assert {info.process for info in (await manager.list(None, 10)).processes} == {"p_1", "p_2"}


async def test_a_process_that_was_taken_for_lost_is_back_when_it_is_seen(ground: Ground) -> None:
    manager = ground.manager()
    process = (await manager.start(MAIN, LONG)).info.process
    ground.stopped.add("main")  # somebody saw it so for a moment; it never stopped
    assert [info.state for info in (await manager.list(None, 10)).processes] == [ProcessState.LOST]
    ground.stopped.discard("main")
    assert (await manager.read(process, ReadRequest())).info.state is ProcessState.RUNNING
    listing = await manager.list(None, 10)
    assert [(info.process, info.state) for info in listing.processes] == [(process, ProcessState.RUNNING)]
    assert listing.total == 1
