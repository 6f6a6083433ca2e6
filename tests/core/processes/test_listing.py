from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest
from support.fake_place import FakeLimits
from support.process_ground import Ground, open_ground

from ws_mcp.core.errors import EngineError, InvalidArgumentError
from ws_mcp.core.ids import ProcessId, WorkspaceName
from ws_mcp.core.processes.manager import OTHERS, ProcessManager
from ws_mcp.core.processes.model import Exit, Listing, ProcessState, ReadRequest, StartRequest, Until, Wait

LONG = StartRequest(command="sleep 36000")
SHORT = StartRequest(command="exit 3")
END = ReadRequest(wait=Wait(until=Until.EXIT, wait_s=5))


@pytest.fixture
async def ground() -> AsyncGenerator[Ground]:
    async with open_ground("main", "other") as ground:
        yield ground


async def run(manager: ProcessManager, request: StartRequest, workspace: str = "main") -> ProcessId:
    process = (await manager.start(WorkspaceName(workspace), request)).info.process
    if request is not LONG:
        await manager.read(process, END)
    return process


def ids(listing: Listing) -> list[str]:
    return [info.process for info in listing.processes]


async def test_an_empty_list_is_a_list(ground: Ground) -> None:
    assert await ground.manager().list(None, 10) == Listing(processes=(), total=0, running=0)


async def test_a_list_has_running_ones_first_then_the_newest_of_all_workspaces(ground: Ground) -> None:
    manager = ground.manager()
    for request, workspace in ((LONG, "main"), (SHORT, "other"), (SHORT, "main"), (LONG, "other"), (SHORT, "other")):
        await run(manager, request, workspace)
        await anyio.sleep(0.01)
    listing = await manager.list(None, 10)
    assert ids(listing) == ["p_4", "p_1", "p_5", "p_3", "p_2"]
    assert [info.workspace for info in listing.processes] == ["other", "main", "other", "main", "other"]
    assert [info.exit for info in listing.processes] == [None, None, Exit(code=3), Exit(code=3), Exit(code=3)]


async def test_totals_count_before_the_limit(ground: Ground) -> None:
    manager = ground.manager()
    for _ in range(12):
        await run(manager, SHORT)
    await run(manager, LONG, "other")
    listing = await manager.list(None, 10)
    assert (len(listing.processes), listing.total, listing.running) == (10, 13, 1)


async def test_a_list_can_be_of_one_state(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG)
    await run(manager, SHORT, "other")
    assert ids(await manager.list(ProcessState.RUNNING, 10)) == ["p_1"]
    assert ids(await manager.list(ProcessState.ENDED, 10)) == ["p_2"]
    assert await manager.list(ProcessState.LOST, 10) == Listing(processes=(), total=0, running=1)


async def test_a_chat_sees_its_own_processes_only_and_every_server_sees_the_same(ground: Ground) -> None:
    await run(ground.manager(), LONG)
    await run(ground.manager("c_two"), LONG)
    assert ids(await ground.manager().list(None, 10)) == ["p_1"]
    assert ids(await ground.manager("c_two").list(None, 10)) == ["p_2"]
    assert ids(await ground.manager("c_three").list(None, 10)) == []


@pytest.mark.parametrize("limit", [0, -1, 100_000])
async def test_a_limit_out_of_range_is_refused(ground: Ground, limit: int) -> None:
    with pytest.raises(InvalidArgumentError):
        await ground.manager().list(None, limit)


async def test_a_workspace_that_does_not_answer_is_named_and_the_others_are_listed(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG, "main")
    await run(manager, LONG, "other")
    ground.workspaces["other"].is_down = True
    await ground.cut("other")
    listing = await manager.list(None, 10)
    assert (ids(listing), listing.unavailable) == (["p_1"], ("other",))
    ground.workspaces["other"].is_down = False
    assert sorted(ids(await manager.list(None, 10))) == ["p_1", "p_2"]


@pytest.mark.usefixtures("virtual_time")
async def test_a_workspace_that_hangs_holds_up_a_list_for_five_seconds_and_a_start_for_one(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG)
    ground.workspaces["other"].hang("list")
    began = anyio.current_time()
    listing = await manager.list(None, 10)
    assert (ids(listing), listing.unavailable) == (["p_1"], ("other",))
    assert anyio.current_time() - began == pytest.approx(5, abs=0.1)
    await run(manager, LONG)
    assert anyio.current_time() - began == pytest.approx(6, abs=0.1)


async def test_without_an_engine_the_known_workspaces_are_listed_and_the_rest_is_named(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG)
    ground.has_engine = False
    listing = await manager.list(None, 10)
    assert (ids(listing), listing.unavailable) == (["p_1"], (OTHERS,))
    with pytest.raises(EngineError):
        await ground.manager().list(None, 10)


async def test_without_an_engine_local_workspaces_are_listed_by_a_new_server(ground: Ground) -> None:
    await run(ground.manager(), LONG)
    await run(ground.manager(), LONG, "other")
    ground.has_engine = False
    ground.local.add("other")
    listing = await ground.manager().list(None, 10)
    assert (ids(listing), listing.unavailable) == (["p_2"], (OTHERS,))


async def test_a_place_that_talks_nonsense_is_unavailable(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG)
    await run(manager, LONG, "other")
    ground.main.now.processes["p_1"].state = "dreaming"
    listing = await manager.list(None, 10)
    assert (ids(listing), listing.unavailable) == (["p_2"], ("main",))


async def test_a_place_cannot_take_over_the_process_of_another(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG, "main")
    stolen = ground.main.now.processes["p_1"]
    ground.workspaces["other"].now.processes["p_1"] = stolen
    await manager.list(None, 10)
    await manager.signal(ProcessId("p_1"), "KILL", 0)
    assert ground.workspaces["other"].asked.count("signal") == 0


# --- lost ones ---


async def test_what_ran_in_a_restarted_workspace_is_lost_and_what_had_ended_is_gone(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG)
    await run(manager, SHORT)
    ground.main.restart()
    await run(manager, LONG)
    listing = await manager.list(None, 10)
    assert ids(listing) == ["p_3", "p_1"]
    lost = listing.processes[1]
    assert (lost.state, lost.lost_reason, lost.exit) == (ProcessState.LOST, "workspace 'main' restarted", None)
    assert (listing.total, listing.running) == (2, 1)
    assert ids(await manager.list(ProcessState.LOST, 10)) == ["p_1"]
    assert ids(await manager.list(ProcessState.ENDED, 10)) == []


async def test_what_ran_in_a_stopped_workspace_is_lost(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG)
    ground.stop("main")
    listing = await manager.list(None, 10)
    assert [info.lost_reason for info in listing.processes] == ["workspace 'main' was stopped"]
    assert listing.unavailable == ()
    ground.go_on("main")
    assert ids(await manager.list(None, 10)) == ["p_1"]


async def test_what_ran_in_a_removed_workspace_is_lost(ground: Ground) -> None:
    manager = ground.manager()
    await run(manager, LONG, "other")
    del ground.workspaces["other"]
    listing = await manager.list(None, 10)
    assert [info.lost_reason for info in listing.processes] == ["its workspace was removed"]


# --- old ones ---


@pytest.mark.usefixtures("virtual_time")
async def test_ended_processes_become_receipts_and_then_nothing() -> None:
    async with open_ground(execd=FakeLimits(keep_receipts_s=3600)) as ground:
        manager = ground.manager()
        await run(manager, StartRequest(command="echo bye; exit 3"))
        await anyio.sleep(899)
        assert [info.is_receipt for info in (await manager.list(None, 10)).processes] == [False]
        await anyio.sleep(2)
        (receipt,) = (await manager.list(None, 10)).processes
        assert (receipt.is_receipt, receipt.exit, receipt.last) == (True, Exit(code=3), "bye\n")
        await anyio.sleep(3600)
        assert (await manager.list(None, 10)).total == 0


async def test_ended_processes_beyond_the_count_become_receipts() -> None:
    async with open_ground(execd=FakeLimits(keep_ended=2)) as ground:
        manager = ground.manager()
        for _ in range(4):
            await run(manager, SHORT)
        listing = await manager.list(None, 10)
        assert sorted((info.process, info.is_receipt) for info in listing.processes) == [
            ("p_1", True), ("p_2", True), ("p_3", False), ("p_4", False),
        ]  # fmt: skip


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_process_in_a_place_of_which_no_event_told_yet_is_there(ground: Ground, key: str) -> None:
    started = await ground.manager().start(None, StartRequest(command="sleep 100", request_key=key))
    ground.unseen.add("main")
    window = await ground.manager().read(started.info.process, ReadRequest())
    assert window.info.state is ProcessState.RUNNING


async def test_a_list_that_is_behind_calls_nothing_lost(ground: Ground) -> None:
    manager = ground.manager()
    started = await manager.start(None, StartRequest(command="sleep 100"))
    ground.unseen.add("main")
    (info,) = (await manager.list(None, 10)).processes
    assert (info.process, info.state) == (started.info.process, ProcessState.RUNNING)
