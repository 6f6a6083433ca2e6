"""Processes through a client: one call for a short command, exact windows, answers complete in both halves."""

from __future__ import annotations

import json

import anyio
import pytest
from mcp import MCPError
from support.edge_client import MODES, call, ok, open_client, refused, text_of
from support.fake_core import FakeCore, FakeProcess

from ws_mcp.core.errors import PlaceUnavailableError
from ws_mcp.core.processes.model import Stream, Streams, TtySize


def says(text: str, code: int | None = 0) -> FakeCore:
    """A core whose processes write `text` and end with `code`, or go on."""

    def script(process: FakeProcess) -> None:
        process.write(text.encode())
        if code is not None:
            process.end(code)

    return FakeCore(script=script)


@pytest.mark.parametrize("mode", MODES)
async def test_a_short_command_needs_one_call(mode: str) -> None:
    async with open_client(says("hi\n"), mode) as client:
        await ok(client, "provision_workspace")
        result = await call(client, "start_process", command="echo hi")
        status = "[p_00000001 exited 0 after 1.5 s | bytes 0-3 of 3 | end of output]"
        assert text_of(result) == f"hi\n{status}"
        assert result.structured_content == {
            "process_id": "p_00000001",
            "workspace": "main",
            "state": "ended",
            "exit_code": 0,
            "output": "hi\n",
            "status": status,
        }


@pytest.mark.parametrize("mode", MODES)
async def test_what_still_runs_is_no_failure(mode: str) -> None:
    async with open_client(says("listening\n", None), mode) as client:
        await ok(client, "provision_workspace")
        result = await call(client, "start_process", command="serve", wait_s=0.01)
        assert not result.is_error
        assert result.structured_content is not None
        assert result.structured_content["state"] == "running"
        assert result.structured_content["output"] == "listening\n"
        assert result.structured_content["next_offset"] == 10
        assert "it did not end within 10 ms; it runs on | bytes 0-10 of 10 | next offset=10]" in text_of(result)


async def test_all_that_a_start_can_say_reaches_the_core() -> None:
    core = says("")
    async with open_client(core) as client:
        await ok(client, "provision_workspace", name="build")
        started = await ok(
            client,
            "start_process",
            command=["make", "-j2"],
            workspace="build",
            cwd="src",
            env={"A": "1"},
            separate_stderr=True,
            time_limit_s=60,
            request_key="once",
        )
        request = core.process(started["process_id"]).request
        assert (request.command, request.cwd, request.environment) == (("make", "-j2"), "src", {"A": "1"})
        assert (request.tty, request.streams, request.keeps_stdin) == (None, Streams.SEPARATE, False)
        assert (request.time_limit_s, request.request_key) == (60.0, "once")
        terminal = await ok(client, "start_process", command="top", workspace="build", pty=True, keep_stdin=True)
        request = core.process(terminal["process_id"]).request
        assert (request.tty, request.streams, request.keeps_stdin) == (TtySize(), Streams.MERGED, True)
        again = await ok(client, "start_process", command="anything", request_key="once", workspace="build")
        assert (again["process_id"], again["was_repeated"]) == (started["process_id"], True)


async def test_a_trailing_ampersand_means_not_to_wait() -> None:
    core = says("x", None)
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        with anyio.fail_after(5):
            started = await ok(client, "start_process", command="serve &", wait_s=45)
        assert core.process(started["process_id"]).request.command == "serve"
        assert started["status"] == "[p_00000001 running | bytes 0-0 of 1 | next offset=0]"


async def test_a_command_that_only_shows_a_file_gets_advice() -> None:
    async with open_client(says("x")) as client:
        await ok(client, "provision_workspace")
        result = await call(client, "start_process", command="cat README.md")
        note, status = text_of(result).splitlines()[-2:]
        assert note.startswith("note: this only prints")
        assert status.startswith("[p_00000001 exited 0")


async def test_lists_and_objects_may_come_as_json_text() -> None:
    core = says("")
    async with open_client(core) as client:
        await ok(client, "provision_workspace", ports="[8000]", env='{"A": "1"}')
        started = await ok(client, "start_process", command='["ls", "-l"]', env='{"B": "2"}')
        request = core.process(started["process_id"]).request
        assert (request.command, request.environment) == (("ls", "-l"), {"B": "2"})
        started = await ok(client, "start_process", command="[ 1 ]")
        assert core.process(started["process_id"]).request.command == "[ 1 ]"
        assert core.specs[0].ports == (8000,)


async def test_null_counts_as_left_out_and_a_hosts_own_argument_is_dropped() -> None:
    async with open_client(says("x")) as client:
        await ok(client, "provision_workspace", image=None, wait_for_previous=True)
        await ok(client, "start_process", command="x", cwd=None, env=None, wait_s=None, wait_for_previous=False)


async def test_a_repeated_start_whose_output_is_gone_shows_what_is_left() -> None:
    core = says("long ago")
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        process = (await ok(client, "start_process", command="x", request_key="k"))["process_id"]
        core.process(process).receipt("the end\n")
        again = await call(client, "start_process", command="x", request_key="k")
        assert again.structured_content is not None
        assert (again.structured_content["output"], again.structured_content["was_repeated"]) == ("the end\n", True)
        assert "its output is no longer kept" in text_of(again)


async def test_separate_stderr_is_shown_apart() -> None:
    def script(process: FakeProcess) -> None:
        process.write(b"out\n")
        process.write(b"\x1b[31merr\x1b[0m\n", Stream.ERR)
        process.end(1)

    async with open_client(FakeCore(script=script)) as client:
        await ok(client, "provision_workspace")
        result = await call(client, "start_process", command="x", separate_stderr=True)
        assert text_of(result).startswith("out\n[stderr]\nerr\n[p_00000001 exited 1")
        assert result.structured_content is not None
        assert (result.structured_content["output"], result.structured_content["stderr"]) == ("out\n", "err\n")
        page = await call(client, "read_output", process_id="p_00000001", stream="stderr")
        assert text_of(page).startswith("err\n[p_00000001 exited 1 after 1.5 s | stderr bytes 0-13 of 13")


async def test_an_id_is_not_lost_when_the_look_at_stderr_fails() -> None:
    def script(process: FakeProcess) -> None:
        process.write(b"oops", Stream.ERR)

    core = FakeCore(script=script)
    core.read_fault = PlaceUnavailableError("workspace 'main' does not answer now")
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        result = await call(client, "start_process", command="x", separate_stderr=True)
        assert result.structured_content is not None
        assert result.structured_content["process_id"] == "p_00000001"
        assert "workspace 'main' does not answer now; read_output can look again" in text_of(result)


@pytest.mark.parametrize("mode", MODES)
async def test_output_is_read_on_from_where_it_was_left(mode: str) -> None:
    core = says("a€" * 100, None)
    async with open_client(core, mode) as client:
        await ok(client, "provision_workspace")
        process = (await ok(client, "start_process", command="x", wait_s=0))["process_id"]
        first = await call(client, "read_output", process_id=process, limit=130)
        assert first.structured_content is None
        assert text_of(first) == "a€" * 32 + "a\n[p_00000001 running | bytes 0-129 of 400 | next offset=129]"
        assert first.meta is not None
        assert first.meta["dev.ws-mcp/window"] == {
            "start": 0,
            "end": 129,
            "next_offset": 129,
            "state": "running",
            "is_line_open": True,
        }
        rest = await call(client, "read_output", process_id=process, offset=129)
        assert text_of(rest).startswith("€" + "a€" * 67 + "\n[")
        tail = await call(client, "read_output", process_id=process, tail=6)
        assert text_of(tail) == "a€\n[p_00000001 running | bytes 396-400 of 400 | earlier: offset=0 | next offset=400]"


async def test_a_read_waits_for_what_it_is_asked_to() -> None:
    core = says("starting\n", None)
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        process = (await ok(client, "start_process", command="x", wait_s=0))["process_id"]
        texts: dict[str, str] = {}

        async def read(name: str, **arguments: object) -> None:
            texts[name] = text_of(await call(client, "read_output", process_id=process, **arguments))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: read("pattern", pattern="listening on \\d+"))
                tasks.start_soon(lambda: read("output", offset=9, wait_s=30))
                tasks.start_soon(lambda: read("exit", wait_for="exit", offset=9))
                await anyio.wait_all_tasks_blocked()
                assert not texts
                core.process(process).write(b"listening on 80\n")
                await anyio.wait_all_tasks_blocked()
                assert set(texts) == {"pattern", "output"}
                core.process(process).end(3)
        assert texts["pattern"].startswith(
            "starting\nlistening on 80\n[p_00000001 running | the pattern is at bytes 9-24 |"
        )
        assert texts["output"].startswith("listening on 80\n[p_00000001 running | bytes 9-25")
        assert texts["exit"].startswith("listening on 80\n[p_00000001 exited 3 after 1.5 s | bytes 9-25 of 25 | end of")


async def test_what_is_left_of_a_forgotten_process_is_shown() -> None:
    core = says("long ago")
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        process = (await ok(client, "start_process", command="x"))["process_id"]
        core.process(process).receipt("the end\n")
        page = await call(client, "read_output", process_id=process)
        assert text_of(page).startswith("the end\n[p_00000001 exited 0 after 1.5 s | its output is no longer kept")


@pytest.mark.parametrize("mode", MODES)
async def test_processes_are_listed_running_first(mode: str) -> None:
    core = says("x", None)
    async with open_client(core, mode) as client:
        made = await ok(client, "provision_workspace")
        for command in ("one", "two", "three\n" * 100):
            await ok(client, "start_process", command=command, wait_s=0)
        core.process("p_00000001").end(7)
        listing = await ok(client, "list_processes")
        assert (listing["running"], listing["total"], listing["chat"]) == (2, 3, made["chat"])
        assert [p["process_id"] for p in listing["processes"]] == ["p_00000002", "p_00000003", "p_00000001"]
        assert listing["processes"][0] == {
            "process_id": "p_00000002",
            "workspace": "main",
            "command": "two",
            "state": "running",
            "status": "running",
            "started_at": "2026-11-20T12:00:00Z",
            "output_bytes": 1,
        }
        assert len(listing["processes"][1]["command"]) == 200
        assert listing["processes"][2]["exit_code"] == 7
        ended = await ok(client, "list_processes", state="ended", limit=1)
        assert [p["process_id"] for p in ended["processes"]] == ["p_00000001"]


async def test_input_is_sent_as_it_is_and_enter_is_pressed_once() -> None:
    core = says("", None)
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        process = (await ok(client, "start_process", command="x", wait_s=0, keep_stdin=True))["process_id"]
        await ok(client, "write_input", process_id=process, text="a\0€")
        await ok(client, "write_input", process_id=process, text="b", enter=True)
        await ok(client, "write_input", process_id=process, text="c\n", enter=True)
        closed = await ok(client, "write_input", process_id=process, close=True)
        assert core.process(process).input == "a\0€b\nc\n".encode()
        assert closed == {"process_id": process, "state": "running", "written_bytes": 0, "stdin": "closed"}


@pytest.mark.parametrize(
    ("asked", "grace"),
    [({}, 5.0), ({"signal": "KILL"}, 0.0), ({"signal": "SIGINT"}, 0.0), ({"signal": "hup", "grace_s": 99}, 45.0)],
)
async def test_a_signal_answers_with_the_state_after_it(asked: dict[str, object], grace: float) -> None:
    core = says("", None)
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        process = (await ok(client, "start_process", command="x", wait_s=0))["process_id"]
        result = await ok(client, "signal_process", process_id=process, **asked)
        name = str(asked.get("signal", "TERM")).upper().removeprefix("SIG")
        assert result == {
            "process_id": process,
            "state": "ended",
            "status": f"killed by {name} after 1.5 s",
            "signalled": 2,
            "gone": 2,
            "left": 0,
            "signal": name,
        }
        assert core.graces == [grace]


BAD = [
    ("start_process", {}, "start_process: `command` is missing"),
    (
        "start_process",
        {"command": "x", "timout": 5},
        "start_process takes no 'timout'; it takes command, workspace, cwd",
    ),
    ("start_process", {"command": ""}, "start_process: `command` is empty: give a shell line"),
    ("start_process", {"command": "  \n"}, "start_process: `command` is empty"),
    ("start_process", {"command": []}, "start_process: `command` is empty"),
    (
        "start_process",
        {"command": 5},
        "start_process: `command` input should be a valid string or input should be a valid list",
    ),
    ("start_process", {"command": "a\0b"}, "start_process: `command` has a NUL byte"),
    ("start_process", {"command": ["a", "b\0"]}, "start_process: `command` has a NUL byte"),
    ("start_process", {"command": "x" * 65537}, "start_process: `command` is too long: at most 65536 bytes"),
    ("start_process", {"command": "x", "env": {"A": "x" * 131072}}, "start_process: `env` is too large"),
    ("start_process", {"command": "x", "env": {str(n): "" for n in range(129)}}, "start_process: `env` is too large"),
    (
        "start_process",
        {"command": "x", "env": {"A=B": ""}},
        "start_process: `env` has a variable without a usable name",
    ),
    ("start_process", {"command": "x", "env": {"A": "\0"}}, "start_process: `env` has a NUL byte"),
    ("start_process", {"command": "x", "env": "{broken"}, "start_process: `env` input should be a valid dictionary"),
    ("start_process", {"command": ["a", 5, 6]}, "start_process: `command` input should be a valid string"),
    ("start_process", {"command": "x", "env": {"A": 5}}, "start_process: `env` input should be a valid string"),
    ("start_process", {"command": "x", "cwd": "x" * 4097}, "start_process: `cwd` is too long: at most 4096 bytes"),
    (
        "start_process",
        {"command": "x", "wait_s": -1},
        "start_process: `wait_s` input should be greater than or equal to 0",
    ),
    ("start_process", {"command": "x", "wait_s": "nan"}, "start_process: `wait_s` input should be"),
    ("start_process", {"command": "x", "time_limit_s": -1}, "start_process: `time_limit_s` input should be"),
    ("start_process", {"command": "x", "workspace": "none"}, "this chat has no workspace 'none'; it has: main."),
    ("start_process", {"command": "no-such-command"}, "sh has no command 'no-such-command'; nothing was started"),
    ("read_output", {"process_id": "p_1"}, "this chat has no process 'p_1'; it has no process yet."),
    (
        "read_output",
        {"process_id": "p_1", "offset": -1},
        "read_output: `offset` input should be greater than or equal to 0",
    ),
    ("read_output", {"process_id": "p_1", "offset": 10**30}, "read_output: `offset` "),
    ("read_output", {"process_id": "p_1", "offset": 0, "tail": 5}, "read_output: give `offset` or `tail`, not both"),
    ("read_output", {"process_id": "p_1", "tail": 0}, "read_output: `tail` input should be greater than or equal to 1"),
    (
        "read_output",
        {"process_id": "p_1", "wait_for": "never"},
        "read_output: `wait_for` input should be 'exit', 'output'",
    ),
    (
        "read_output",
        {"process_id": "p_1", "wait_for": "pattern"},
        'read_output: `pattern` and `wait_for`="pattern" belong',
    ),
    ("read_output", {"process_id": "p_1", "wait_for": "exit", "pattern": "x"}, "read_output: `pattern` and `wait_for`"),
    ("write_input", {"process_id": "p_1"}, "write_input: there is nothing to do; give `text`, `enter` or `close`"),
    (
        "write_input",
        {"process_id": "p_1", "text": "x" * 1048577},
        "write_input: `text` is too long: at most 1048576 bytes",
    ),
    (
        "signal_process",
        {"process_id": "p_1", "signal": "STOP"},
        "signal_process: `signal` is unknown; there are TERM, KILL",
    ),
    ("signal_process", {"process_id": "p_1", "grace_s": -1}, "signal_process: `grace_s` input should be"),
    ("list_processes", {"limit": 0}, "list_processes: `limit` input should be greater than or equal to 1"),
    ("list_processes", {"chat": "c_nobody"}, "you have no chat with the handle given as `chat`"),
    ("list_processes", {"chat": "new"}, "you have no chat with the handle given as `chat`"),
    (
        "provision_workspace",
        {"ports": [70000]},
        "provision_workspace: `ports` input should be less than or equal to 65535",
    ),
    (
        "provision_workspace",
        {"ports": list(range(1, 40))},
        "provision_workspace: `ports` value should have at most 32 items",
    ),
    (
        "provision_workspace",
        {"kind": "vm"},
        "provision_workspace: `kind` input should be 'auto', 'container' or 'local'",
    ),
    ("remove_workspace", {"name": "none"}, "this chat has no workspace 'none'; it has: main."),
]


@pytest.mark.parametrize("mode", MODES)
async def test_bad_input_is_refused_in_one_line_that_repeats_no_value(mode: str) -> None:
    async with open_client(says(""), mode) as client:
        await ok(client, "provision_workspace")
        for tool, arguments, words in BAD:
            assert (await refused(client, tool, **arguments)).startswith(words)
        secret = "hunter2-hunter2"
        for tool, arguments in (
            ("start_process", {"command": {"a": secret}}),
            ("start_process", {"command": "x", "env": [secret]}),
            ("provision_workspace", {"env": {"PASSWORD": [secret]}}),
            ("provision_workspace", {"kind": secret}),
            ("read_output", {"process_id": 5, "wait_for": secret}),
        ):
            assert secret not in await refused(client, tool, **arguments)


async def test_a_bug_is_answered_with_a_reference_only(caplog: pytest.LogCaptureFixture) -> None:
    core = says("")
    core.fault = RuntimeError("the password is hunter2")
    async with open_client(core) as client:
        await ok(client, "provision_workspace")
        text = await refused(client, "start_process", command="x")
        assert "hunter2" not in text
        reference = text.partition("reference ")[2].partition(",")[0]
        assert reference.startswith("e_")
        assert reference in caplog.text
        assert "hunter2" in caplog.text
        assert await ok(client, "list_processes")


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_of_the_protocol_stays_one(mode: str) -> None:
    core = says("")
    async with open_client(core, mode) as client:
        await ok(client, "provision_workspace")
        core.fault = MCPError(-32021, "a capability is missing")
        with pytest.raises(MCPError, match="a capability is missing") as caught:
            await call(client, "start_process", command="x")
        assert caught.value.code == -32021


async def test_long_waits_are_cut_to_what_hosts_wait_for() -> None:
    async with open_client(says("x")) as client:
        await ok(client, "provision_workspace")
        await ok(client, "start_process", command="x", wait_s=3600)
        page = await call(client, "read_output", process_id="p_00000001", wait_for="exit", wait_s=10**6, limit=10**9)
        assert json.loads(json.dumps(page.meta))["dev.ws-mcp/window"]["state"] == "ended"
