from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from support.fake_place import FakeLimits
from support.process_ground import Ground, open_ground

from ws_mcp.core.errors import (
    ConflictError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    PlaceUnavailableError,
    StartError,
)
from ws_mcp.core.ids import ProcessId, WorkspaceName
from ws_mcp.core.processes.atlas import LISTING_S, SILENT_S
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.model import (
    Exit,
    ProcessState,
    ReadRequest,
    StartRequest,
    Stream,
    Streams,
    TtySize,
    Until,
    Wait,
)
from ws_mcp.core.processes.reach import OutcomeUnknownError
from ws_mcp.core.processes.starts import COUNT_S

LONG = StartRequest(command="sleep 3600")
END = ReadRequest(wait=Wait(until=Until.EXIT, wait_s=5))


@pytest.fixture
async def ground() -> AsyncGenerator[Ground]:
    async with open_ground() as ground:
        yield ground


@pytest.fixture
def manager(ground: Ground) -> ProcessManager:
    return ground.manager()


def shell(command: str, **fields: Any) -> StartRequest:
    return StartRequest(command=command, **fields)


async def ended(manager: ProcessManager, request: StartRequest) -> bytes:
    started = await manager.start(None, request)
    return (await manager.read(started.info.process, END)).data


# --- what a start is ---


async def test_a_start_answers_while_the_process_runs(ground: Ground, manager: ProcessManager) -> None:
    started = await manager.start(None, shell("echo hi; sleep 3600", cwd="/tmp"))
    info = started.info
    assert (info.process, info.workspace, info.place) == ("p_1", "main", "w_main")
    assert (info.command, info.cwd, info.state) == ("echo hi; sleep 3600", "/tmp", ProcessState.RUNNING)
    assert (info.exit, info.ended_at, started.was_repeated) == (None, None, False)
    assert ground.started == [("main", "p_1")]


async def test_a_process_ends_with_its_code_and_both_outputs_in_order(manager: ProcessManager) -> None:
    started = await manager.start(None, shell("echo one; echo two >&2; exit 42"))
    window = await manager.read(started.info.process, END)
    assert window.data == b"one\ntwo\n"
    assert window.info.exit == Exit(code=42)


async def test_words_start_without_a_shell(manager: ProcessManager) -> None:
    assert await ended(manager, StartRequest(command=("echo", "a  b", "$X"))) == b"a  b $X\n"


async def test_separate_streams_are_read_apart(manager: ProcessManager) -> None:
    started = await manager.start(None, shell("echo one; echo two >&2", streams=Streams.SEPARATE))
    assert (await manager.read(started.info.process, END)).data == b"one\n"
    assert (await manager.read(started.info.process, ReadRequest(stream=Stream.ERR))).data == b"two\n"


async def test_without_a_directory_a_process_starts_in_the_workspaces_own(manager: ProcessManager) -> None:
    assert await ended(manager, shell("pwd")) == b"/workspace\n"
    assert await ended(manager, shell("pwd", cwd="//tmp/../tmp/")) == b"/tmp\n"


async def test_the_environment_is_quiet_the_requests_wins_and_the_chat_is_told(manager: ProcessManager) -> None:
    command = "echo $PAGER; echo $TERM; echo $MINE; echo $WS_MCP_CHAT"
    mine = {"TERM": "ansi", "MINE": "yes", "WS_MCP_CHAT": "c_stranger"}
    assert await ended(manager, shell(command, environment=mine)) == b"cat\nansi\nyes\nc_one\n"


async def test_a_terminal_is_one_and_can_be_resized(ground: Ground, manager: ProcessManager) -> None:
    started = await manager.start(None, shell("echo $TERM; sleep 60", tty=TtySize()))
    assert started.info.has_tty
    await manager.resize(started.info.process, TtySize(cols=50, rows=20))
    assert ground.main.now.processes["p_1"].size == {"cols": 50, "rows": 20}
    with pytest.raises(InvalidArgumentError):
        await manager.resize(started.info.process, TtySize(cols=0))


async def test_a_time_limit_ends_a_process_and_is_named(manager: ProcessManager) -> None:
    started = await manager.start(None, shell("sleep 3600", time_limit_s=0.05))
    window = await manager.read(started.info.process, END)
    assert window.info.exit == Exit(signal="KILL", reason="time_limit")


async def test_a_process_starts_in_the_workspace_that_was_named() -> None:
    async with open_ground("main", "other") as ground:
        started = await ground.manager().start(WorkspaceName("other"), LONG)
        assert started.info.workspace == "other"
        assert (ground.workspaces["main"].starts, ground.workspaces["other"].starts) == (0, 1)


# --- what is refused ---


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        (shell(""), InvalidArgumentError, "command is empty"),
        (shell("true", cwd="/missing"), StartError, "'/missing' .* nothing was started"),
        (StartRequest(command=("no-such-program",)), StartError, "'no-such-program' .* nothing was started"),
        (shell("true", environment={"WSMCP_X": ""}), InvalidArgumentError, "reserved"),
    ],
)
async def test_what_cannot_be_started_is_one_line_and_leaves_nothing(
    ground: Ground, manager: ProcessManager, request_: StartRequest, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as refused:
        await manager.start(None, request_)
    assert "\n" not in str(refused.value)
    assert (await manager.list(None, 10)).total == 0
    assert ground.started == []


async def test_a_workspace_that_is_not_there_or_stopped_is_said(ground: Ground, manager: ProcessManager) -> None:
    with pytest.raises(NotFoundError, match="it has: main"):
        await manager.start(WorkspaceName("other"), LONG)
    ground.stop("main")
    with pytest.raises(PlaceUnavailableError, match="stopped; call provision_workspace"):
        await manager.start(None, LONG)


async def test_an_execd_that_does_not_answer_is_named_by_its_workspace(ground: Ground, manager: ProcessManager) -> None:
    ground.main.is_down = True
    with pytest.raises(PlaceUnavailableError, match=r"^workspace 'main' does not answer now: its container is stopped"):
        await manager.start(None, LONG)


# --- how many ---


async def test_a_chat_has_so_many_running_processes_and_no_more(ground: Ground) -> None:
    manager = ground.manager(limits=ProcessLimits(running=2))
    await manager.start(None, LONG)
    await manager.start(None, LONG)
    with pytest.raises(LimitError, match="2 running processes, as many as it may; end some with signal_process"):
        await manager.start(None, LONG)
    assert (await ground.manager("c_two").start(None, LONG)).info.state is ProcessState.RUNNING
    await manager.signal(ProcessId("p_1"), "KILL", 0)
    await manager.start(None, LONG)


async def test_the_limit_counts_all_places_of_the_chat() -> None:
    async with open_ground("main", "other", limits=ProcessLimits(running=3)) as ground:
        one, other = ground.manager(), ground.manager()
        for workspace in ("main", "main", "other"):
            await one.start(WorkspaceName(workspace), LONG)
        for server in (one, other):
            for workspace in ("main", "other"):
                with pytest.raises(LimitError):
                    await server.start(WorkspaceName(workspace), LONG)
        assert (await one.list(ProcessState.RUNNING, 10)).total == 3


async def test_a_place_without_processes_has_no_room_when_another_one_is_full() -> None:
    async with open_ground("main", "other", limits=ProcessLimits(running=1)) as ground:
        await ground.manager().start(WorkspaceName("other"), LONG)
        with pytest.raises(LimitError, match="1 running processes"):
            await ground.manager().start(WorkspaceName("main"), shell("true", request_key="k"))
        assert ground.receipts.claims == {}


async def test_a_silent_place_does_not_keep_the_others_from_starting() -> None:
    async with open_ground("main", "other") as ground:
        ground.workspaces["other"].is_down = True
        assert (await ground.manager().start(WorkspaceName("main"), LONG)).info.process == "p_1"


@pytest.mark.usefixtures("virtual_time")
async def test_a_place_and_an_engine_that_hang_hold_up_one_start_and_not_each() -> None:
    async with open_ground("main", "other") as ground:
        manager = ground.manager()
        await manager.start(WorkspaceName("other"), LONG)
        await manager.start(WorkspaceName("main"), LONG)
        ground.workspaces["other"].freeze()
        ground.engine_answers = anyio.Event()
        await anyio.sleep(SILENT_S / 2)
        took = [await _seconds_of(manager) for _ in range(10)]
        assert took[0] == pytest.approx(LISTING_S + COUNT_S, abs=0.1)
        assert max(took[1:]) < 0.1
        ground.workspaces["other"].thaw()
        ground.engine_answers.set()
        await anyio.sleep(SILENT_S)
        assert await _seconds_of(manager) < 0.1


async def _seconds_of(manager: ProcessManager) -> float:
    began = anyio.current_time()
    await manager.start(WorkspaceName("main"), LONG)
    return anyio.current_time() - began


async def test_starts_do_not_ask_the_engine_each_time(ground: Ground, manager: ProcessManager) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(manager.start, None, LONG)
    await manager.start(None, LONG)
    assert (ground.listings, ground.main.starts) == (1, 6)


@pytest.mark.usefixtures("virtual_time")
async def test_an_engine_that_hangs_holds_up_a_start_for_two_seconds_at_most(
    ground: Ground, manager: ProcessManager
) -> None:
    ground.engine_answers = anyio.Event()
    began = anyio.current_time()
    await manager.start(None, LONG)
    await manager.start(None, LONG)
    assert anyio.current_time() - began == pytest.approx(2, abs=0.1)


async def test_starts_go_on_while_the_engine_is_down(ground: Ground, manager: ProcessManager) -> None:
    ground.has_engine = False
    assert (await manager.start(None, LONG)).info.state is ProcessState.RUNNING


# --- once ---


async def test_without_a_key_every_start_is_another_process(ground: Ground, manager: ProcessManager) -> None:
    processes = {(await manager.start(None, LONG)).info.process for _ in range(3)}
    assert len(processes) == ground.main.starts == 3


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_start_whose_connection_dies_happens_once(
    ground: Ground, manager: ProcessManager, *, is_done: bool
) -> None:
    ground.main.lose("start", is_done=is_done)
    started = await manager.start(None, shell("echo once; sleep 3600"))
    assert (started.info.process, started.was_repeated, ground.main.starts) == ("p_1", False, 1)
    assert ground.started == [("main", "p_1")]


async def test_a_start_over_a_connection_that_died_before_happens(ground: Ground, manager: ProcessManager) -> None:
    await manager.start(None, LONG)
    await ground.cut("main")
    assert (await manager.start(None, LONG)).info.process == "p_2"


async def test_a_start_that_cannot_be_asked_again_has_an_unknown_outcome(
    ground: Ground, manager: ProcessManager
) -> None:
    await manager.list(None, 1)
    ground.main.lose("start", is_done=True)
    ground.main.lose("hello", is_done=False)
    with pytest.raises(OutcomeUnknownError, match=r"whether process p_1 was started is not known.*list_processes"):
        await manager.start(None, LONG)
    assert (await manager.list(None, 10)).processes[0].process == "p_1"


async def test_a_start_is_not_repeated_in_an_execd_that_restarted(ground: Ground, manager: ProcessManager) -> None:
    await manager.list(None, 1)
    ground.main.hang("start")
    async with anyio.create_task_group() as tasks:

        async def one() -> None:
            with pytest.raises(OutcomeUnknownError, match=r"p_1 .* \(it restarted\)"):
                await manager.start(None, LONG)

        tasks.start_soon(one)
        while "start" not in ground.main.asked:
            await anyio.lowlevel.checkpoint()
        ground.main.restart()
    assert ground.main.starts == 0


@pytest.mark.usefixtures("virtual_time")
async def test_a_start_that_is_not_answered_has_an_unknown_outcome_and_its_key_stays(
    ground: Ground, manager: ProcessManager
) -> None:
    ground.main.hang("start")
    with pytest.raises(OutcomeUnknownError, match="repeat this call with the same request_key"):
        await manager.start(None, shell("true", request_key="k"))
    with pytest.raises(OutcomeUnknownError, match="whether process p_1 was started is not known"):
        await manager.start(None, shell("true", request_key="k"))
    assert len(ground.receipts.claims) == 1


# --- once, by key ---


async def test_the_same_key_and_request_is_the_same_process(ground: Ground, manager: ProcessManager) -> None:
    first = await manager.start(None, shell("sleep 3600", request_key="k"))
    second = await manager.start(None, shell("sleep 3600", request_key="k"))
    named = await manager.start(WorkspaceName("main"), shell("sleep 3600", request_key="k"))
    assert (first.was_repeated, second.was_repeated, named.was_repeated) == (False, True, True)
    assert first.info.process == second.info.process == named.info.process
    assert ground.main.starts == 1
    assert ground.started == [("main", "p_1")]


async def test_eight_callers_in_two_servers_get_one_process(ground: Ground) -> None:
    servers = [ground.manager(), ground.manager()]
    found: list[str] = []

    async def one(server: ProcessManager) -> None:
        found.append((await server.start(None, shell("sleep 3600", request_key="k"))).info.process)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(one, servers[number % 2])
    assert len(found) == 8
    assert len(set(found)) == 1
    assert ground.main.starts == 1


@pytest.mark.parametrize(
    "other",
    [
        shell("true", request_key="k"),
        shell("sleep 3600", cwd="/tmp", request_key="k"),
        shell("sleep 3600", environment={"A": "1"}, request_key="k"),
        shell("sleep 3600", keeps_stdin=True, request_key="k"),
        shell("sleep 3600", time_limit_s=9, request_key="k"),
    ],
)
async def test_the_same_key_with_another_request_is_a_conflict_that_names_the_process(
    manager: ProcessManager, other: StartRequest
) -> None:
    await manager.start(None, shell("sleep 3600", request_key="k"))
    with pytest.raises(ConflictError, match="'k' was used for another request, which is process p_1"):
        await manager.start(None, other)


async def test_the_same_key_in_another_workspace_is_a_conflict() -> None:
    async with open_ground("main", "other") as ground:
        await ground.manager().start(None, shell("true", request_key="k"))
        with pytest.raises(ConflictError, match="in another workspace, for process p_1"):
            await ground.manager().start(WorkspaceName("other"), shell("true", request_key="k"))


async def test_a_default_workspace_that_changed_does_not_change_the_request() -> None:
    async with open_ground("first", "main") as ground:
        ground.workspaces["main"], ground.workspaces["first"] = ground.workspaces["first"], ground.workspaces["main"]
        first = await ground.manager().start(None, shell("sleep 60", request_key="k"))
        ground.workspaces["main"], ground.workspaces["first"] = ground.workspaces["first"], ground.workspaces["main"]
        second = await ground.manager().start(None, shell("sleep 60", request_key="k"))
        assert (second.info.process, second.was_repeated) == (first.info.process, True)


async def test_keys_of_chats_are_independent(ground: Ground) -> None:
    one = await ground.manager().start(None, shell("true", request_key="k"))
    two = await ground.manager("c_two").start(None, shell("false", request_key="k"))
    assert one.info.process != two.info.process


async def test_a_start_that_failed_leaves_its_key_free(ground: Ground, manager: ProcessManager) -> None:
    for refused in (shell("true", cwd="/missing", request_key="k"), shell("true", cwd="/gone", request_key="k")):
        with pytest.raises(StartError):
            await manager.start(None, refused)
    ground.main.is_down = True
    await ground.cut("main")
    with pytest.raises(PlaceUnavailableError):
        await manager.start(None, shell("false", request_key="k"))
    ground.main.is_down = False
    assert ground.receipts.claims == {}
    assert (await manager.start(None, shell("true", request_key="k"))).was_repeated is False


async def test_a_repeat_while_the_limit_is_reached_finds_the_process(ground: Ground) -> None:
    manager = ground.manager(limits=ProcessLimits(running=1))
    await manager.start(None, shell("sleep 60", request_key="k"))
    assert (await manager.start(None, shell("sleep 60", request_key="k"))).was_repeated is True
    with pytest.raises(LimitError):
        await manager.start(None, shell("sleep 60", request_key="other"))


async def test_a_server_that_died_before_its_start_is_finished_by_the_next(ground: Ground) -> None:
    ground.main.hang("start")
    with anyio.move_on_after(0.05):
        await ground.manager().start(None, shell("sleep 60", request_key="k"))
    assert ground.main.starts == 0
    ground.main.heal()
    started = await ground.manager().start(None, shell("sleep 60", request_key="k"))
    assert (started.info.process, started.was_repeated, ground.main.starts) == ("p_1", True, 1)


async def test_an_ended_process_is_found_by_its_key_and_not_run_again(ground: Ground, manager: ProcessManager) -> None:
    await ended(manager, shell("echo once", request_key="k"))
    again = await ground.manager().start(None, shell("echo once", request_key="k"))
    assert (again.info.state, again.was_repeated, ground.main.starts) == (ProcessState.ENDED, True, 1)


@pytest.mark.usefixtures("virtual_time")
async def test_a_repeated_start_keeps_what_is_left_of_the_time_limit(ground: Ground) -> None:
    request = shell("sleep 3600", request_key="k", time_limit_s=10)
    began = anyio.current_time()
    process = (await ground.manager().start(None, request)).info.process
    await anyio.sleep(6)
    wait = ReadRequest(wait=Wait(until=Until.EXIT, wait_s=45))
    again = await ground.manager().start(None, replace(request, first=wait))
    assert (again.info.process, again.was_repeated) == (process, True)
    assert again.info.exit is not None
    assert again.info.exit.reason == "time_limit"
    assert anyio.current_time() - began == pytest.approx(10, abs=0.1)


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("first", [None, ReadRequest(), ReadRequest(wait=Wait(until=Until.EXIT, wait_s=5))])
async def test_a_key_whose_process_execd_has_forgotten_does_not_run_it_again(first: ReadRequest | None) -> None:
    async with open_ground(execd=FakeLimits(keep_receipts_s=3600)) as ground:
        request = shell("echo once", request_key="k", first=first)
        process = (await ground.manager().start(None, request)).info.process
        await anyio.sleep(1800)
        again = await ground.manager().start(None, request)  # a receipt is left of it
        assert (again.info.process, again.info.is_receipt, again.was_repeated) == (process, True, True)
        await anyio.sleep(3600)
        with pytest.raises(ConflictError, match="it ran and is forgotten; give a new key"):
            await ground.manager().start(None, request)
        assert ground.main.starts == 1


async def test_a_repeated_start_shows_the_output_of_the_first(ground: Ground, manager: ProcessManager) -> None:
    request = shell("echo once", request_key="k", first=ReadRequest(wait=Wait(until=Until.EXIT, wait_s=5)))
    windows = [(await manager.start(None, request)).window for _ in range(2)]
    assert [window.data for window in windows if window] == [b"once\n", b"once\n"]
    assert ground.main.starts == 1


async def test_a_key_of_a_process_that_ended_with_its_workspace_does_not_run_it_again(ground: Ground) -> None:
    await ground.manager().start(None, shell("sleep 60", request_key="k"))
    ground.main.restart()
    with pytest.raises(ConflictError, match=r"process p_1, which ended when workspace 'main' restarted"):
        await ground.manager().start(None, shell("sleep 60", request_key="k"))
    assert ground.main.starts == 1


async def test_a_key_that_only_execd_remembers_still_finds_its_process(ground: Ground, manager: ProcessManager) -> None:
    first = await manager.start(None, shell("sleep 60", request_key="k"))
    ground.receipts.claims.clear()
    again = await manager.start(None, shell("sleep 60", request_key="k"))
    assert (again.info.process, again.was_repeated) == (first.info.process, True)
    assert ground.main.starts == 1


async def test_the_request_that_arrives_is_what_was_asked_for(ground: Ground, manager: ProcessManager) -> None:
    await manager.start(None, shell("sleep 60", user="1000", keeps_stdin=True, request_key="k"))
    request = ground.main.now.processes["p_1"].request
    json.dumps(dict(request))
    assert (request["user"], request["stdin"], request["key"]) == ("1000", True, "k")
    assert (request["head_bytes"], request["tail_bytes"], request["max_running"]) == (65536, 1048576, 32)
