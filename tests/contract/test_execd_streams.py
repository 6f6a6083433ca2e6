"""What every execd does with output, input, waits and signals, the real one and the fake one.

Source: execd/PROTOCOL.md.
"""

from __future__ import annotations

import anyio
import pytest
from support.execd_contract import (
    CHAT,
    LONG,
    SECRET,
    ExecdContract,
    Link,
    OnFakeExecd,
    OnRealExecd,
    Place,
    ask,
    run,
    start,
    wait,
    write_line,
)

from ws_mcp.core.errors import ConflictError, InvalidArgumentError
from ws_mcp.core.execd.client import ExecdClient


class StreamsContract(ExecdContract):
    # --- reading ---

    async def test_windows_follow_each_other_by_offset(self, client: ExecdClient) -> None:
        await run(client, "printf 0123456789")
        windows = [await ask(client, "read", offset=offset, limit=4) for offset in (0, 4, 8, 10)]
        assert [(w["start"], w["end"], w["body"]) for w in windows] == [
            (0, 4, b"0123"), (4, 8, b"4567"), (8, 10, b"89"), (10, 10, b""),
        ]  # fmt: skip
        assert (await ask(client, "read", tail=3))["body"] == b"789"

    async def test_an_offset_beyond_the_end_is_told_the_end(self, client: ExecdClient) -> None:
        await run(client, "printf 0123456789")
        with pytest.raises(InvalidArgumentError, match="10"):
            await ask(client, "read", offset=11)

    async def test_the_dropped_middle_is_counted_exactly(self, client: ExecdClient) -> None:
        said = await run(client, "printf head; head -c 100 /dev/zero; printf tail", head_bytes=8, tail_bytes=16)
        assert said["process"]["out"] == {"end": 108, "head_end": 8, "tail_start": 92, "is_final": True}
        windows = [await ask(client, "read", offset=offset) for offset in (2, 8, 91, 92, 104)]
        assert [(w["start"], w["end"], w["missed"]) for w in windows] == [
            (2, 8, 0), (92, 108, 84), (92, 108, 1), (92, 108, 0), (104, 108, 0),
        ]  # fmt: skip
        assert windows[0]["body"] == b"ad" + bytes(4)
        assert windows[4]["body"] == b"tail"
        assert (await ask(client, "read", tail=100))["start"] == 92

    async def test_output_that_just_fits_is_whole(self, client: ExecdClient) -> None:
        said = await run(client, "head -c 24 /dev/zero", head_bytes=8, tail_bytes=16)
        assert said["process"]["out"]["head_end"] == said["process"]["out"]["tail_start"] == 8
        assert (await ask(client, "read", offset=0))["body"] == bytes(24)

    async def test_a_large_output_stays_bounded(self, client: ExecdClient) -> None:
        said = await run(client, "head -c 5000000 /dev/zero", head_bytes=1000, tail_bytes=2000)
        assert said["process"]["out"]["end"] == 5_000_000
        assert (await ask(client, "read", tail=1 << 20))["start"] == 4_998_000

    # --- waiting ---

    async def test_a_wait_for_output_ends_with_the_first_byte_after_the_offset(self, client: ExecdClient) -> None:
        await start(client, "echo one; read go; echo two; sleep 60", stdin=True)
        first = await wait(client, "output")
        assert (first["woke"], first["body"]) == ("output", b"one\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write_line, client)
            second = await wait(client, "output", offset=4)
            assert (second["woke"], second["body"]) == ("output", b"two\n")

    async def test_a_wait_for_a_pattern_says_where_it_matched(self, client: ExecdClient) -> None:
        await start(client, "echo starting; echo ready on 80; sleep 60")
        said = await wait(client, "pattern", pattern="^ready on [0-9]+$")
        assert (said["woke"], said["match"]) == ("pattern", {"start": 9, "end": 20})
        assert said["start"] == 0

    async def test_a_wait_for_silence_ends_with_it(self, client: ExecdClient) -> None:
        await start(client, "echo one; sleep 60")
        said = await wait(client, "idle", idle_ms=100)
        assert (said["woke"], said["body"]) == ("idle", b"one\n")

    @pytest.mark.parametrize("until", ["output", "exit", "pattern", "idle"])
    async def test_every_wait_ends_with_the_process(self, client: ExecdClient, until: str) -> None:
        await start(client, "read go", stdin=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write_line, client)
            assert (await wait(client, until, pattern="never", idle_ms=4000))["woke"] == "exit"
        assert (await wait(client, until, pattern="never", idle_ms=4000))["woke"] == "exit"

    async def test_the_end_of_the_time_is_an_answer(self, client: ExecdClient) -> None:
        await start(client, LONG)
        said = await wait(client, "exit", timeout_ms=1)
        assert (said["woke"], said["process"]["state"]) == ("timeout", "running")

    async def test_two_waiters_both_wake(self, place: Place, client: ExecdClient) -> None:
        await start(client, LONG)
        woke: list[str] = []

        async def one() -> None:
            async with place.client() as own:
                woke.append((await wait(own, "exit"))["woke"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
            await wait(client, "exit", timeout_ms=50)
            await ask(client, "signal", signal="KILL")
        assert woke == ["exit", "exit"]

    async def test_a_pattern_that_is_none_is_refused(self, client: ExecdClient) -> None:
        await start(client, LONG)
        with pytest.raises(InvalidArgumentError):
            await wait(client, "pattern", pattern="(")

    async def test_a_cancelled_wait_is_answered_at_once(self, place: Place, client: ExecdClient) -> None:
        await start(client, LONG)
        async with await place.dial() as stream:
            link = Link(stream)
            await link.say(id=1, op="hello", protocol=1, secret=SECRET, client="t")
            waiting = {"until": "exit", "timeout_ms": 45000}
            await link.say(id=2, op="read", process="p_1", chat=CHAT, offset=0, wait=waiting)
            await link.say(id=3, op="cancel", target=2)
            await link.say(id=4, op="cancel", target=99)
            answers = {said["id"]: said for said in [await link.hear() for _ in range(4)]}
        assert answers[2]["woke"] == "timeout"
        assert (answers[3], answers[4]) == ({"id": 3}, {"id": 4})

    async def test_a_cancelled_caller_leaves_the_connection_usable(self, client: ExecdClient) -> None:
        await start(client, "echo hi; sleep 60")
        with anyio.move_on_after(0.05) as scope:
            await wait(client, "exit")
        assert scope.cancelled_caught
        assert (await ask(client, "read", offset=0))["body"] == b"hi\n"

    async def test_a_waiting_call_holds_up_no_other(self, client: ExecdClient) -> None:
        await start(client, "read go", stdin=True)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(wait, client, "exit")
            await client.call("ping", {}, timeout_s=30)
            await write_line(client)

    # --- input ---

    async def test_input_is_read_and_its_end_is_seen(self, client: ExecdClient) -> None:
        await start(client, "cat", stdin=True)
        assert (await ask(client, "write", body=b"one\n"))["written"] == 4
        assert (await wait(client, "output"))["body"] == b"one\n"
        assert (await ask(client, "write", body=b"two\n", close=True))["written"] == 4
        said = await wait(client, "exit")
        assert (said["body"], said["process"]["code"]) == (b"one\ntwo\n", 0)

    async def test_without_stdin_a_process_reads_nothing(self, client: ExecdClient) -> None:
        assert (await run(client, "cat; echo end"))["body"] == b"end\n"
        await start(client, LONG, "p_2")
        with pytest.raises(ConflictError, match="stdin"):
            await ask(client, "write", "p_2", body=b"x")

    async def test_input_for_an_ended_process_is_a_conflict(self, client: ExecdClient) -> None:
        await run(client, "true", stdin=True)
        with pytest.raises(ConflictError):
            await ask(client, "write", body=b"x")

    async def test_a_terminal_can_be_resized_and_nothing_else_can(self, client: ExecdClient) -> None:
        said = await start(client, LONG, tty={"cols": 80, "rows": 24})
        assert said["process"]["has_tty"]
        await ask(client, "resize", cols=100, rows=30)
        await start(client, LONG, "p_2")
        with pytest.raises(ConflictError, match="terminal"):
            await ask(client, "resize", "p_2", cols=100, rows=30)

    async def test_a_terminal_turns_line_ends(self, client: ExecdClient) -> None:
        assert (await run(client, "echo hi", tty={"cols": 80, "rows": 24}))["body"] == b"hi\r\n"

    # --- signals ---

    @pytest.mark.parametrize("signal", ["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2"])
    async def test_every_signal_of_the_list_arrives(self, client: ExecdClient, signal: str) -> None:
        await start(client, "echo up; sleep 60; echo never")
        await wait(client, "output")
        assert (await ask(client, "signal", signal=signal))["signalled"] >= 1
        process = (await wait(client, "exit"))["process"]
        assert process["signal"] == signal
        assert process["out"]["end"] == 3

    async def test_grace_ends_with_kill_where_a_signal_is_ignored(self, client: ExecdClient) -> None:
        await start(client, "trap '' TERM; echo up; sleep 60; sleep 60")
        await wait(client, "output")
        plain = await ask(client, "signal", signal="TERM")
        assert plain["process"]["state"] == "running"
        said = await ask(client, "signal", signal="TERM", grace_ms=100)
        assert said["signalled"] == said["gone"]
        assert said["left"] == 0
        assert (await wait(client, "exit"))["process"]["signal"] == "KILL"

    async def test_signals_to_what_has_ended_or_is_unknown_are_refused(self, client: ExecdClient) -> None:
        await run(client, "true")
        with pytest.raises(ConflictError, match="ended"):
            await ask(client, "signal", signal="TERM")
        await start(client, LONG, "p_2")
        with pytest.raises(InvalidArgumentError):
            await ask(client, "signal", "p_2", signal="STOP")

    async def test_a_child_that_holds_the_pipe_is_named_and_can_be_ended(self, client: ExecdClient) -> None:
        said = await run(client, "sleep 60 & echo ok")
        process = said["process"]
        assert (process["state"], process["code"], said["body"]) == ("ended", 0, b"ok\n")
        assert len(process["lingering"]) == 1
        assert process["out"]["is_final"] is False
        assert (await ask(client, "signal", signal="KILL"))["left"] == 0


class TestFakeStreamsContract(OnFakeExecd, StreamsContract):
    pass


@pytest.mark.usefixtures("real_io")
class TestRealStreamsContract(OnRealExecd, StreamsContract):
    pass
