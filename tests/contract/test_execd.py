"""What every execd does, the real one and the fake one, as its clients see it: hello, starts, lists, events.

Source: execd/PROTOCOL.md.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from support.execd_contract import (
    CHAT,
    LONG,
    PLACE,
    SECRET,
    ExecdContract,
    OnFakeExecd,
    OnRealExecd,
    Place,
    Watch,
    ask,
    names,
    raw,
    run,
    start,
    wait,
    write_line,
)

from ws_mcp.core.errors import ConflictError, InvalidArgumentError, LimitError, StartError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.failures import ExecdUnavailableError, OutputExpiredError, UnknownProcessError
from ws_mcp.core.execd.protocol import Event


def named(event: Event) -> str:
    """The process that ended."""
    process: Any = event.header["process"]
    return process["process"]


class LivesContract(ExecdContract):
    # --- hello ---

    async def test_hello_tells_the_place_and_the_boot(self, place: Place) -> None:
        async with place.client() as one, place.client() as other:
            assert one.hello.place == PLACE
            assert one.boot == other.boot
            assert len(one.boot) == 16

    async def test_another_secret_is_refused(self, place: Place) -> None:
        with pytest.raises(ExecdUnavailableError, match="belongs to another instance"):
            async with place.client(secret="ffff"):
                pass

    async def test_a_version_that_nobody_speaks_is_refused_by_name(self, place: Place) -> None:
        said = await raw(place, {"id": 1, "op": "hello", "protocol": 99, "secret": SECRET, "client": "t"})
        assert said["error"]["code"] == "bad_version"
        assert "1" in said["error"]["text"]

    async def test_nothing_is_answered_before_hello(self, place: Place) -> None:
        said = await raw(place, {"id": 1, "op": "list", "all": True})
        assert said["error"]["code"] == "unauthorized"

    async def test_a_frame_that_is_none_ends_its_connection_only(self, place: Place, client: ExecdClient) -> None:
        async with await place.dial() as stream:
            await stream.send(b"\x00\x00\x00\x05\x00\x00\x00\xffx")
            with anyio.fail_after(30), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        await client.call("ping", {}, timeout_s=30)

    # --- start ---

    async def test_a_shell_command_runs_and_ends_with_its_code(self, client: ExecdClient) -> None:
        said = await run(client, "echo hello; exit 3")
        process = said["process"]
        assert said["body"] == b"hello\n"
        assert said["woke"] == "exit"
        assert (process["state"], process["code"], "signal" in process) == ("ended", 3, False)
        assert process["out"] == {"end": 6, "head_end": 6, "tail_start": 6, "is_final": True}
        assert process["ended_at_ms"] >= process["started_at_ms"]

    async def test_words_run_without_a_shell(self, client: ExecdClient) -> None:
        said = await run(client, ["echo", "a  b", "$HOME", "ü"])
        assert said["body"] == "a  b $HOME ü\n".encode()

    async def test_a_process_starts_in_the_directory_that_was_asked_for(self, client: ExecdClient) -> None:
        assert (await run(client, "pwd", cwd="/tmp"))["body"] == b"/tmp\n"

    async def test_the_environment_is_laid_over_and_our_own_names_stay_out(self, client: ExecdClient) -> None:
        env = {"GREETING": "hi there", "WSMCP_VERIFIER": "x"}
        said = await run(client, "echo $GREETING; echo .$WSMCP_VERIFIER; echo $WSMCP_PROCESS", env=env)
        assert said["body"].decode().splitlines() == ["hi there", ".", f"{PLACE}/p_1"]

    async def test_a_death_by_signal_has_a_signal_and_no_code(self, client: ExecdClient) -> None:
        process = (await run(client, "kill -KILL $$"))["process"]
        assert process["signal"] == "KILL"
        assert "code" not in process

    async def test_a_command_that_the_shell_lacks_ends_with_its_words(self, client: ExecdClient) -> None:
        said = await run(client, "no-such-command-at-all")
        assert said["process"]["code"] == 127
        assert b"not found" in said["body"]

    async def test_one_pipe_keeps_the_order_of_both_outputs(self, client: ExecdClient) -> None:
        said = await run(client, "echo 1; echo 2 >&2; echo 3; echo 4 >&2")
        assert said["body"] == b"1\n2\n3\n4\n"
        assert "err" not in said["process"]

    async def test_separate_streams_are_read_apart(self, client: ExecdClient) -> None:
        said = await run(client, "echo out; echo err >&2", streams="separate")
        err = await ask(client, "read", stream="err", offset=0)
        assert (said["body"], err["body"]) == (b"out\n", b"err\n")
        assert said["process"]["err"]["end"] == 4

    async def test_a_start_that_is_repeated_does_not_begin_its_time_limit_again(self, client: ExecdClient) -> None:
        limit: dict[str, Any] = {"key": "k", "digest": "d", "time_limit_ms": 1000}
        first = await start(client, LONG, **limit)
        said = await wait(client, "exit", timeout_ms=600)
        assert said["woke"] == "timeout"
        again = await start(client, LONG, "p_2", **limit)
        assert again["process"]["pid"] == first["process"]["pid"]
        process = (await wait(client, "exit"))["process"]
        assert process["reason"] == "time_limit"
        assert process["duration_ms"] < 1600  # with a new limit it would be that or more

    async def test_the_time_limit_ends_a_process_and_says_so(self, client: ExecdClient) -> None:
        process = (await run(client, LONG, time_limit_ms=50))["process"]
        assert process["reason"] == "time_limit"
        assert "code" not in process

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"cwd": "/no/such/directory"}, StartError),
            ({"argv": ["no-such-command-at-all"], "shell": None}, StartError),
            ({"shell": None}, InvalidArgumentError),
            ({"argv": ["true"]}, InvalidArgumentError),
            ({"later": 1}, InvalidArgumentError),
        ],
    )
    async def test_a_refused_start_leaves_its_id_and_key_free(
        self, client: ExecdClient, fields: dict[str, Any], error: type[Exception]
    ) -> None:
        request = {"process": "p_1", "chat": CHAT, "digest": "d", "key": "k", "shell": "true"} | fields
        with pytest.raises(error):
            await client.call("start", {n: v for n, v in request.items() if v is not None}, timeout_s=30)
        assert (await client.call("list", {"chat": CHAT}, timeout_s=30)).header["processes"] == []
        assert (await start(client, "true", key="k"))["repeated"] is False

    # --- starting once ---

    async def test_a_start_brings_its_first_output_and_end_when_asked_for_them(self, client: ExecdClient) -> None:
        first = {"limit": 100, "wait": {"until": "exit", "timeout_ms": 4000}}
        said = await ask(client, "start", shell="echo hello; exit 3", digest="d", first=first)
        assert (said["body"], said["start"], said["end"]) == (b"hello\n", 0, 6)
        assert (said["woke"], said["repeated"], said["process"]["code"]) == ("exit", False, 3)
        again = await ask(client, "start", shell="echo hello; exit 3", digest="d", first=first)
        assert (again["body"], again["repeated"]) == (b"hello\n", True)

    async def test_a_first_wait_that_is_over_leaves_the_process_running(self, client: ExecdClient) -> None:
        first = {"wait": {"until": "exit", "timeout_ms": 1}}
        said = await ask(client, "start", shell=LONG, digest="d", first=first)
        assert (said["woke"], said["process"]["state"]) == ("timeout", "running")

    async def test_a_start_whose_process_is_only_a_receipt_by_then_is_answered_like_one(self) -> None:
        first = {"wait": {"until": "exit", "timeout_ms": 4000}}
        async with self.open_place(keep_ended=0) as place, place.client() as client:
            for number in range(20):
                name = f"p_{number}"
                said = await ask(client, "start", name, shell="echo hello; exit 3", digest="d", first=first)
                process = said["process"]
                assert (process["process"], process["code"], said["repeated"]) == (name, 3, False)
                assert b"hello\n" in (said["body"], process.get("last", "").encode())

    async def test_a_first_look_that_cannot_be_is_refused_before_anything_runs(self, client: ExecdClient) -> None:
        for wrong in ({"limit": 0}, {"wait": {"until": "never"}}):
            with pytest.raises(InvalidArgumentError):
                await ask(client, "start", shell=LONG, digest="d", first=wrong)
        assert (await client.call("list", {"chat": CHAT}, timeout_s=30)).header["total"] == 0

    async def test_the_same_id_and_request_is_the_same_process(self, client: ExecdClient) -> None:
        first = await start(client, "echo once; sleep 60")
        second = await start(client, "echo once; sleep 60")
        assert (first["repeated"], second["repeated"]) == (False, True)
        assert first["process"]["pid"] == second["process"]["pid"]

    async def test_eight_callers_with_one_key_get_one_process(self, place: Place) -> None:
        found: list[str] = []

        async def one(number: int) -> None:
            async with place.client() as client:
                found.append((await start(client, LONG, f"p_{number}", key="k", digest="d"))["process"]["process"])

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        assert len(found) == 8
        assert len(set(found)) == 1

    async def test_the_same_key_with_another_request_is_a_conflict(self, client: ExecdClient) -> None:
        await start(client, LONG, key="k")
        with pytest.raises(ConflictError):
            await start(client, "true", "p_2", key="k")
        with pytest.raises(ConflictError):
            await start(client, "true")

    async def test_keys_of_chats_are_independent(self, client: ExecdClient) -> None:
        await start(client, LONG, key="k")
        other = await start(client, "true", "p_2", key="k", chat="c_2")
        assert other["repeated"] is False

    async def test_a_chat_has_at_most_so_many_running_processes(self, client: ExecdClient) -> None:
        await start(client, LONG, max_running=1)
        with pytest.raises(LimitError):
            await start(client, LONG, "p_2", max_running=1)
        await start(client, LONG, "p_3", chat="c_2", max_running=1)
        await ask(client, "signal", signal="KILL")
        await wait(client, "exit")
        await start(client, LONG, "p_2", max_running=1)

    # --- list and get ---

    async def test_an_empty_list_is_a_list(self, client: ExecdClient) -> None:
        header = (await client.call("list", {"chat": CHAT}, timeout_s=30)).header
        assert dict(header) | {"id": 0} == {"id": 0, "processes": [], "total": 0, "running": 0}

    async def test_a_list_has_running_ones_first_then_the_newest(self, client: ExecdClient) -> None:
        await start(client, LONG, "p_old")
        for name in ("p_1", "p_2", "p_3"):
            await run(client, "true", name)
        await start(client, LONG, "p_other", chat="c_2")
        header = (await client.call("list", {"chat": CHAT, "limit": 3}, timeout_s=30)).header
        assert names(header) == ["p_old", "p_3", "p_2"]
        assert (header["total"], header["running"]) == (4, 1)
        ended: Any = (await client.call("list", {"chat": CHAT, "state": "ended"}, timeout_s=30)).header
        assert names(ended) == ["p_3", "p_2", "p_1"]
        assert all("code" in process for process in ended["processes"])
        everyone = (await client.call("list", {"all": True, "state": "running"}, timeout_s=30)).header
        assert sorted(names(everyone)) == ["p_old", "p_other"]

    async def test_each_part_of_a_long_list_is_counted_as_the_whole(self, client: ExecdClient) -> None:
        ended = [f"p_e{number}" for number in range(10)]
        for name in ended:
            await run(client, "true", name)
        running = [f"p_r{number}" for number in range(50)]
        for name in running:
            await start(client, LONG, name, max_running=50)
        await start(client, LONG, "p_other", chat="c_2")
        whole = running[::-1] + ended[::-1]
        for fields, wanted in (
            ({}, whole),
            ({"state": "running"}, running[::-1]),
            ({"state": "ended"}, ended[::-1]),
        ):
            for skip, limit in ((0, 0), (0, 1), (0, 20), (45, 20), (5, 5), (50, 0), (60, 20)):
                asked = {"chat": CHAT, "skip": skip, "limit": limit, **fields}
                header = (await client.call("list", asked, timeout_s=30)).header
                assert names(header) == wanted[skip:][: limit or None]
                assert (header["total"], header["running"]) == (len(wanted), 50)

    @pytest.mark.parametrize(
        ("op", "fields"),
        [
            ("get", {}),
            ("read", {"offset": 0}),
            ("write", {}),
            ("resize", {"cols": 1, "rows": 1}),
            ("signal", {"signal": "TERM"}),
        ],
    )
    async def test_another_chats_process_is_like_none(
        self, client: ExecdClient, op: str, fields: dict[str, Any]
    ) -> None:
        await start(client, LONG)
        with pytest.raises(UnknownProcessError) as foreign:
            await ask(client, op, chat="c_2", **fields)
        with pytest.raises(UnknownProcessError) as missing:
            await ask(client, op, "p_2", **fields)
        assert str(foreign.value).replace("p_1", "p_2") == str(missing.value)

    # --- receipts ---

    async def test_an_old_end_becomes_a_receipt(self) -> None:
        async with self.open_place(keep_ended=1) as place, place.client() as client:
            await run(client, "echo first; exit 4", "p_1")
            await run(client, "true", "p_2")
            assert names((await client.call("list", {"chat": CHAT}, timeout_s=30)).header) == ["p_2"]
            listed = (await client.call("list", {"chat": CHAT, "receipts": True}, timeout_s=30)).header
            assert names(listed) == ["p_2", "p_1"]
            receipt = (await ask(client, "get"))["process"]
            assert (receipt["is_receipt"], receipt["code"], receipt["last"]) == (True, 4, "first\n")
            with pytest.raises(OutputExpiredError, match="no longer kept"):
                await ask(client, "read", offset=0)
            assert (await start(client, "echo first; exit 4", "p_1"))["repeated"] is True

    # --- events and connections ---

    async def test_events_tell_of_start_growth_and_end(self, place: Place, client: ExecdClient) -> None:
        watch = Watch()
        async with place.client(watch):
            await run(client, "echo hello")
            ended: Any = (await watch.until(lambda event: event.kind == "ended")).header
            grew = await watch.until(lambda event: event.kind == "grew")
        assert watch.seen[0].kind == "started"
        assert ended["process"]["code"] == 0
        assert (grew.header["process"], grew.header["chat"], grew.header["end"]) == ("p_1", CHAT, 6)

    async def test_every_end_is_told_once_whatever_a_process_leaves_behind(
        self, place: Place, client: ExecdClient
    ) -> None:
        watch = Watch()
        async with place.client(watch):
            await run(client, "sleep 0.7 & echo ok", "p_1")  # its child holds the pipe for longer than the grace
            await run(client, "echo x; exit 1", "p_2")
            await start(client, LONG, "p_3")
            await ask(client, "signal", "p_3", signal="KILL")
            await run(client, "sleep 1", "p_4")  # what would be told twice was told by now
            await watch.until(lambda event: event.kind == "ended" and named(event) == "p_4")
        assert sorted(named(event) for event in watch.seen if event.kind == "ended") == ["p_1", "p_2", "p_3", "p_4"]

    async def test_a_process_outlives_the_connection_that_started_it(self, place: Place) -> None:
        async with place.client() as first:
            await start(first, "echo one; read go; echo two", stdin=True)
            await wait(first, "output")
        async with place.client() as second:
            await write_line(second)
            said = await wait(second, "exit", offset=4)
            assert said["body"] == b"two\n"
            assert (await wait(second, "exit"))["process"]["code"] == 0

    async def test_stopping_ends_every_process_and_execd_itself(self, place: Place, client: ExecdClient) -> None:
        await start(client, LONG)
        async with place.client() as other:
            await other.stop(1)
            with anyio.fail_after(30):
                await client.closed.wait()
        with pytest.raises(ExecdUnavailableError):
            await client.call("ping", {}, timeout_s=30)

    async def test_the_place_says_how_full_it_is(self, client: ExecdClient) -> None:
        await run(client, "true")
        await start(client, LONG, "p_2")
        stats = await client.stats()
        assert (stats.running, stats.ended, stats.receipts) == (1, 1, 0)


class TestFakeLivesContract(OnFakeExecd, LivesContract):
    pass


@pytest.mark.usefixtures("real_io")
class TestRealLivesContract(OnRealExecd, LivesContract):
    pass
