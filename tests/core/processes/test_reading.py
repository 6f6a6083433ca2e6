from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from support.fake_place import FakeLimits
from support.process_ground import Ground, open_ground

from ws_mcp.core.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PlaceUnavailableError,
    WsError,
)
from ws_mcp.core.ids import ProcessId, WorkspaceName
from ws_mcp.core.processes.finder import LostProcessError
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.model import (
    Exit,
    OutputWindow,
    ProcessState,
    ReadRequest,
    StartRequest,
    TtySize,
    Until,
    Wait,
    Woke,
)
from ws_mcp.core.processes.reach import OutcomeUnknownError

ALL = ReadRequest()


@pytest.fixture
async def ground() -> AsyncGenerator[Ground]:
    async with open_ground("main", "other") as ground:
        yield ground


@pytest.fixture
def manager(ground: Ground) -> ProcessManager:
    return ground.manager()


def waiting(
    until: Until, wait_s: float = 5, *, offset: int = 0, pattern: str = "", idle_s: float = 0.05
) -> ReadRequest:
    wait = Wait(until=until, wait_s=wait_s, pattern=pattern, idle_s=idle_s)
    return ReadRequest(offset=offset, wait=wait)


async def start(manager: ProcessManager, command: str, *, workspace: str = "main", stdin: bool = False) -> ProcessId:
    request = StartRequest(command=command, keeps_stdin=stdin)
    return (await manager.start(WorkspaceName(workspace), request)).info.process


# --- windows and waits ---


async def test_windows_follow_each_other(manager: ProcessManager) -> None:
    process = await start(manager, "printf 0123456789")
    await manager.read(process, waiting(Until.EXIT))
    first = await manager.read(process, ReadRequest(limit_bytes=4))
    second = await manager.read(process, ReadRequest(offset=first.end))
    tail = await manager.read(process, ReadRequest(tail_bytes=3))
    assert [(w.start, w.data, w.missed) for w in (first, second, tail)] == [
        (0, b"0123", 0), (4, b"456789", 0), (7, b"789", 0),
    ]  # fmt: skip


async def test_the_dropped_middle_is_counted(ground: Ground) -> None:
    manager = ground.manager(limits=ProcessLimits(head_bytes=1000, tail_bytes=2000))
    process = await start(manager, "head -c 50000 /dev/zero; printf END")
    await manager.read(process, waiting(Until.EXIT))
    window = await manager.read(process, ReadRequest(offset=1000))
    assert (window.start, window.end, window.missed) == (48_003, 50_003, 47_003)
    assert window.data.endswith(b"END")
    assert window.info.out.dropped == 47_003


async def test_an_offset_beyond_the_end_is_told_the_end(manager: ProcessManager) -> None:
    process = await start(manager, "printf 0123456789")
    await manager.read(process, waiting(Until.EXIT))
    with pytest.raises(InvalidArgumentError, match="ends at 10"):
        await manager.read(process, ReadRequest(offset=11))


async def test_a_wait_for_the_end_comes_back_with_it_and_at_once_after_it(manager: ProcessManager) -> None:
    process = await start(manager, "echo hi; sleep 0.05; exit 3")
    for _ in range(2):
        window = await manager.read(process, waiting(Until.EXIT))
        assert (window.woke, window.info.exit, window.data) == (Woke.EXIT, Exit(code=3), b"hi\n")


async def test_a_wait_that_is_over_stops_nothing_and_shows_what_there_is(manager: ProcessManager) -> None:
    process = await start(manager, "echo partial; sleep 3600")
    await manager.read(process, waiting(Until.OUTPUT))
    window = await manager.read(process, waiting(Until.EXIT, 0.01))
    assert (window.woke, window.data, window.info.state) == (Woke.TIMEOUT, b"partial\n", ProcessState.RUNNING)


async def test_waits_for_output_pattern_and_silence(manager: ProcessManager) -> None:
    process = await start(manager, "echo one; read x; echo ready; sleep 3600", stdin=True)
    assert (await manager.read(process, waiting(Until.OUTPUT))).woke is Woke.OUTPUT
    assert (await manager.read(process, waiting(Until.IDLE))).woke is Woke.IDLE
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: manager.write(process, b"go\n", close=False))
        window = await manager.read(process, waiting(Until.PATTERN, offset=4, pattern="^ready$"))
        assert (window.woke, window.match) == (Woke.PATTERN, (4, 9))
    with pytest.raises(InvalidArgumentError):
        await manager.read(process, waiting(Until.PATTERN, pattern="("))


@pytest.mark.usefixtures("virtual_time")
async def test_the_longest_wait_ends_after_45_seconds(manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600")
    began = anyio.current_time()
    window = await manager.read(process, waiting(Until.EXIT, 45))
    assert (window.woke, round(anyio.current_time() - began)) == (Woke.TIMEOUT, 45)


async def test_two_waiters_both_wake_when_the_process_is_killed(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600")
    woke: list[Woke | None] = []

    async def one(server: ProcessManager) -> None:
        woke.append((await server.read(process, waiting(Until.EXIT))).woke)

    async with anyio.create_task_group() as tasks:
        for server in (manager, ground.manager()):
            tasks.start_soon(one, server)
        while ground.main.asked.count("read") < 2:
            await anyio.lowlevel.checkpoint()
        await manager.signal(process, "KILL", 0)
    assert woke == [Woke.EXIT, Woke.EXIT]


async def test_a_cancelled_wait_ends_in_execd_too(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600")
    with anyio.move_on_after(0.01):
        await manager.read(process, waiting(Until.EXIT))
    assert (await manager.read(process, ALL)).info.state is ProcessState.RUNNING
    assert ground.main.asked[-2:] == ["cancel", "read"]


@pytest.mark.usefixtures("virtual_time")
async def test_a_wait_whose_connection_breaks_goes_on_with_what_is_left_of_it(
    ground: Ground, manager: ProcessManager
) -> None:
    process = await start(manager, "echo hi; sleep 3600")
    began = anyio.current_time()
    windows: list[OutputWindow] = []

    async def one() -> None:
        windows.append(await manager.read(process, waiting(Until.EXIT, 40)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        await anyio.sleep(30)
        ground.main.cut()
    assert [(w.woke, w.data) for w in windows] == [(Woke.TIMEOUT, b"hi\n")]
    assert round(anyio.current_time() - began) == 40


async def test_output_of_before_is_read_by_a_server_that_never_saw_the_process(ground: Ground) -> None:
    process = await start(ground.manager(), "echo hello; exit 7", workspace="other")
    window = await ground.manager().read(process, waiting(Until.EXIT))
    assert (window.data, window.info.exit, window.info.workspace) == (b"hello\n", Exit(code=7), "other")


async def test_a_receipt_has_no_output_but_says_how_it_ended() -> None:
    async with open_ground(execd=FakeLimits(keep_ended=0)) as ground:
        manager = ground.manager()
        process = await start(manager, "echo bye; exit 3")
        await manager.read(process, waiting(Until.EXIT))
        window = await manager.read(process, ALL)
        assert (window.data, window.start, window.info.is_receipt) == (b"", 4, True)
        assert (window.info.exit, window.info.last) == (Exit(code=3), "bye\n")


# --- input ---


async def test_input_arrives_and_its_end_is_seen(manager: ProcessManager) -> None:
    process = await start(manager, "cat", stdin=True)
    first = await manager.write(process, b"one\n", close=False)
    assert (first.written, first.asked, first.is_closed, first.info.has_stdin) == (4, 4, False, True)
    assert (await manager.write(process, b"two\n", close=True)).is_closed
    assert (await manager.read(process, waiting(Until.EXIT))).data == b"one\ntwo\n"


async def test_input_that_cannot_arrive_is_a_conflict(manager: ProcessManager) -> None:
    deaf = await start(manager, "sleep 3600")
    with pytest.raises(ConflictError, match="stdin"):
        await manager.write(deaf, b"x", close=False)
    gone = await start(manager, "true", stdin=True)
    await manager.read(gone, waiting(Until.EXIT))
    with pytest.raises(ConflictError, match="ended"):
        await manager.write(gone, b"x", close=False)
    with pytest.raises(InvalidArgumentError):
        await manager.write(gone, bytes(2 << 20), close=False)


async def test_input_whose_connection_breaks_is_not_sent_twice(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "cat", stdin=True)
    ground.main.lose("write", is_done=True)
    with pytest.raises(OutcomeUnknownError, match="whether the write took effect is not known"):
        await manager.write(process, b"once\n", close=True)
    assert (await manager.read(process, waiting(Until.EXIT))).data == b"once\n"


# --- signals ---


@pytest.mark.parametrize("name", ["TERM", "sigint", "SIGKILL", "hup"])
async def test_a_signal_ends_a_process(manager: ProcessManager, name: str) -> None:
    process = await start(manager, "sleep 3600")
    result = await manager.signal(process, name, 1)
    assert (result.signalled, result.gone, result.left) == (1, 1, 0)
    window = await manager.read(process, waiting(Until.EXIT))
    assert window.info.exit == Exit(signal=name.upper().removeprefix("SIG"))


@pytest.mark.usefixtures("virtual_time")
async def test_kill_follows_where_term_is_ignored(manager: ProcessManager) -> None:
    process = await start(manager, "trap '' TERM; sleep 3600")
    began = anyio.current_time()
    result = await manager.signal(process, "TERM", 40)
    assert (result.left, result.info.exit) == (0, Exit(signal="KILL"))
    assert round(anyio.current_time() - began) == 40


async def test_children_of_a_process_end_with_it(manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600 & sleep 3600 & sleep 3600")
    result = await manager.signal(process, "KILL", 0)
    assert (result.signalled, result.gone, result.left) == (3, 3, 0)


async def test_a_signal_to_an_ended_process_is_a_conflict(manager: ProcessManager) -> None:
    process = await start(manager, "true")
    await manager.read(process, waiting(Until.EXIT))
    with pytest.raises(ConflictError, match="ended; its output can still be read"):
        await manager.signal(process, "TERM", 0)


async def test_a_signal_that_is_none_is_refused_before_the_process_is_looked_for(manager: ProcessManager) -> None:
    for name in ("", "STOP", "9"):
        with pytest.raises(InvalidArgumentError, match="there are TERM, KILL"):
            await manager.signal(ProcessId("p_none"), name, 0)
    with pytest.raises(InvalidArgumentError, match="grace_s"):
        await manager.signal(ProcessId("p_none"), "TERM", -1)


async def test_a_kill_is_asked_for_again_and_other_signals_are_not(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "trap '' INT; sleep 3600")
    ground.main.lose("signal", is_done=True)
    with pytest.raises(OutcomeUnknownError, match="whether the signal took effect is not known"):
        await manager.signal(process, "INT", 0)
    ground.main.lose("signal", is_done=False)
    assert (await manager.signal(process, "KILL", 0)).left == 0


# --- which process ---


async def fails(manager: ProcessManager, process: str) -> list[str]:
    """What each call says of a process that is not there; the name left out."""
    name = ProcessId(process)
    calls = (
        lambda: manager.read(name, ALL),
        lambda: manager.write(name, b"", close=True),
        lambda: manager.signal(name, "TERM", 0),
        lambda: manager.resize(name, TtySize()),
    )
    said: list[str] = []
    for call in calls:
        with pytest.raises(NotFoundError) as missing:
            await call()
        said.append(str(missing.value).replace(repr(process), "NAME"))
    return said


async def test_a_missing_a_foreign_and_a_malformed_process_are_one_answer(
    ground: Ground, manager: ProcessManager
) -> None:
    await start(manager, "sleep 3600")
    await start(manager, "sleep 3600", workspace="other")
    foreign = await start(ground.manager("c_two"), "sleep 3600")
    answers = [said for name in (foreign, "p_none", "nonsense", "../x", "") for said in await fails(manager, name)]
    assert set(answers) == {"this chat has no process NAME; it has: p_1, p_2. list_processes tells more."}


async def test_a_huge_or_strange_name_is_shortened(manager: ProcessManager) -> None:
    for name in ("x" * 10_000_000, "p_\n\x1b[31m\ud800"):
        with pytest.raises(NotFoundError, match="no process") as missing:
            await manager.read(ProcessId(name), ALL)
        assert len(str(missing.value)) < 200
        assert str(missing.value).isprintable()


async def test_whether_a_process_exists_is_unknown_while_a_place_is_silent(
    ground: Ground, manager: ProcessManager
) -> None:
    process = await start(ground.manager(), "sleep 3600", workspace="other")
    ground.workspaces["other"].is_down = True
    await ground.cut("other")
    with pytest.raises(PlaceUnavailableError, match=f"whether this chat has process {process} is not known now"):
        await manager.read(process, ALL)
    ground.workspaces["other"].is_down = False
    assert (await manager.read(process, ALL)).info.state is ProcessState.RUNNING


async def test_a_known_process_in_a_silent_place_is_not_said_to_be_gone(
    ground: Ground, manager: ProcessManager
) -> None:
    process = await start(manager, "sleep 3600")
    ground.main.is_down = True
    await ground.cut("main")
    with pytest.raises(PlaceUnavailableError, match="'main' does not answer now"):
        await manager.read(process, ALL)
    ground.has_engine = False
    with pytest.raises(PlaceUnavailableError, match="'main' does not answer now"):
        await manager.read(process, ALL)
    with pytest.raises(PlaceUnavailableError, match=f"{process} is not known now: no engine answers"):
        await ground.manager().read(process, ALL)


async def test_a_local_process_is_found_while_the_engine_is_silent(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "echo hi")
    ground.has_engine = False
    ground.local.add("main")
    assert (await ground.manager().read(process, ALL)).info.process == process


async def test_a_known_process_is_reached_without_asking_the_engine(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600")
    listings = ground.listings
    await manager.read(process, ALL)
    await manager.signal(process, "KILL", 0)
    assert ground.listings == listings


async def test_a_process_that_moved_with_its_place_is_found_at_its_new_address(
    ground: Ground, manager: ProcessManager
) -> None:
    process = await start(manager, "sleep 3600")
    ground.move("main")
    await ground.cut("main")
    assert (await manager.read(process, ALL)).info.state is ProcessState.RUNNING


# --- lost ones ---


async def assert_lost(manager: ProcessManager, process: ProcessId, reason: str) -> None:
    window = await manager.read(process, ALL)
    assert (window.info.state, window.info.lost_reason, window.data) == (ProcessState.LOST, reason, b"")
    for call in (
        lambda: manager.write(process, b"x", close=False),
        lambda: manager.signal(process, "TERM", 0),
    ):
        with pytest.raises(LostProcessError, match=r"is lost .* start it again if it is still needed"):
            await call()


async def test_a_process_of_a_restarted_workspace_is_lost(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "echo hi; sleep 3600")
    ground.main.restart()
    await assert_lost(manager, process, "workspace 'main' restarted")


async def test_a_process_of_a_stopped_workspace_is_lost(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600")
    ground.stop("main")
    await ground.cut("main")
    await assert_lost(manager, process, "workspace 'main' was stopped")


async def test_a_process_of_a_removed_workspace_is_lost(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600", workspace="other")
    ground.workspaces["other"].is_down = True
    await ground.cut("other")
    del ground.workspaces["other"]
    await assert_lost(manager, process, "its workspace was removed")


async def test_another_server_knows_a_keyed_process_that_was_lost(ground: Ground) -> None:
    request = StartRequest(command="sleep 3600", request_key="k")
    process = (await ground.manager().start(WorkspaceName("main"), request)).info.process
    ground.main.restart()
    for workspace in ("main", "other"):
        await start(ground.manager(), "true", workspace=workspace)
    with pytest.raises(LostProcessError, match=process):
        await ground.manager().read(process, ALL)
    with pytest.raises(NotFoundError):
        await ground.manager("c_two").read(process, ALL)


async def test_an_ended_process_that_went_with_its_workspace_is_not_found(
    ground: Ground, manager: ProcessManager
) -> None:
    process = await start(manager, "true")
    await manager.read(process, waiting(Until.EXIT))
    ground.main.restart()
    with pytest.raises(WsError, match="no process"):
        await manager.read(process, ALL)


async def test_another_server_knows_a_keyed_process_of_a_removed_workspace(ground: Ground) -> None:
    request = StartRequest(command="sleep 3600", request_key="k")
    process = (await ground.manager().start(WorkspaceName("other"), request)).info.process
    del ground.workspaces["other"]
    with pytest.raises(LostProcessError, match="was removed since"):
        await ground.manager().read(process, ALL)


@pytest.mark.usefixtures("virtual_time")
async def test_a_process_that_execd_forgot_is_not_found_also_without_an_engine() -> None:
    async with open_ground(execd=FakeLimits(keep_ended_s=10, keep_receipts_s=20)) as ground:
        manager = ground.manager()
        request = StartRequest(command="true", request_key="k")
        process = (await manager.start(None, request)).info.process
        await start(manager, "sleep 3600")
        await anyio.sleep(30)
        ground.has_engine = False
        with pytest.raises(NotFoundError, match="it has: p_2"):
            await manager.read(process, ALL)


async def test_a_place_that_talks_nonsense_is_unavailable(ground: Ground, manager: ProcessManager) -> None:
    process = await start(manager, "sleep 3600")
    nonsense: Any = "no number"
    ground.main.now.processes[process].pid = nonsense
    with pytest.raises(PlaceUnavailableError, match="answers what cannot be"):
        await manager.read(process, ALL)
    with pytest.raises(OutcomeUnknownError, match="whether the signal took effect is not known"):
        await manager.signal(process, "INT", 0)
