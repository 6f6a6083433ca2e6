"""A killed server takes nothing with it: the next one has every process of every chat, and no chat sees another's."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
import pytest
from mcp import MCPError
from support.instances import Instance
from support.peers import Json, Page, Peer, until

TICKER = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.02; done'
TALKER = (
    'i=0; while [ $i -lt 200 ]; do i=$((i+1)); printf "%08000d" $i; done; echo; exit 7'  # 1.6 MB: the middle is dropped
)
ENDINGS: tuple[tuple[str, int | None, str | None], ...] = (
    ("echo well", 0, None),
    ("echo unwell; exit 3", 3, None),
    ("exit 42", 42, None),
    ("kill -TERM $$; sleep 9", None, "TERM"),
    ("kill -KILL $$; sleep 9", None, "KILL"),
    (TALKER, 7, None),
)
UNKNOWN = "p_zzzzzzzz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a chat saw of its ten processes before the server was killed."""

    chat: Json  # the `chat` argument of every call
    handle: str
    tickers: dict[str, Page] = field(default_factory=dict[str, Page])
    ended: dict[str, Json] = field(default_factory=dict[str, Json])
    outputs: dict[str, Page] = field(default_factory=dict[str, Page])
    reader: str = ""

    @property
    def ids(self) -> set[str]:
        return {*self.tickers, *self.ended, self.reader}


async def test_twenty_processes_in_two_chats_survive_a_killed_server(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            before = [await _ten_processes(peer, {}), await _ten_processes(peer, {"chat": "new"})]
            await peer.kill()
        async with instance.open_peer() as peer:
            for seen in before:
                await _check_all_is_back(peer, seen)
            for seen, other in (before, reversed(before)):
                await _check_nothing_is_visible(peer, seen, other)
            for seen in before:
                assert set(await peer.processes(**seen.chat)) == seen.ids


async def test_a_start_that_was_repeated_after_a_kill_started_once(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            process = await peer.start("echo $$ >> starts; exec sleep 60", request_key="deploy-1", wait_s=0)
            await peer.kill()
        async with instance.open_peer() as peer:
            again = await peer.ok("start_process", command="echo $$ >> starts; exec sleep 60", request_key="deploy-1")
            assert (again["process_id"], again["was_repeated"]) == (process, True)
            refusal = await peer.refused("start_process", command="sleep 61", request_key="deploy-1")
            assert "deploy-1" in refusal
            counted = await peer.read(await peer.start("wc -l < starts"))
            assert counted.output.strip() == "1"


async def test_a_server_killed_while_calls_wait_leaves_their_processes_running(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_start_in_vain, peer)
                await until(peer.processes)
                await peer.kill()
        async with instance.open_peer() as peer:
            (process,) = (await peer.processes()).values()
            assert process["state"] == "running"
            assert (await peer.read(process["process_id"])).output == "begun\n"


async def _start_in_vain(peer: Peer) -> None:
    with pytest.raises(MCPError):  # the connection ends with the server
        await peer.call("start_process", command="echo begun; exec sleep 60", wait_s=45)


async def _ten_processes(peer: Peer, chat: Json) -> Seen:
    made = await peer.ok("provision_workspace", **chat)
    handle = str(made["chat"])
    seen = Seen(chat={"chat": handle} if chat else {}, handle=handle)
    for _ in range(3):
        ticker = await peer.start(TICKER, wait_s=0, **seen.chat)
        seen.tickers[ticker] = await peer.read(ticker, wait_for="pattern", pattern="line 3", wait_s=30, **seen.chat)
    for command, code, name in ENDINGS:
        process = await peer.start(command, wait_s=30, **seen.chat)
        seen.ended[process] = (await peer.processes(**seen.chat))[process]
        assert (seen.ended[process].get("exit_code"), seen.ended[process].get("signal")) == (code, name)
        seen.outputs[process] = await peer.read(process, tail=2000, **seen.chat)
    reader = await peer.start("cat", keep_stdin=True, wait_s=0, **seen.chat)
    await peer.ok("write_input", process_id=reader, text="before\n", **seen.chat)
    return Seen(
        chat=seen.chat, handle=handle, tickers=seen.tickers, ended=seen.ended, outputs=seen.outputs, reader=reader
    )


async def _check_all_is_back(peer: Peer, seen: Seen) -> None:
    found = await peer.processes(**seen.chat)
    assert set(found) == seen.ids
    for process, then in seen.ended.items():
        assert found[process] == then
        assert await peer.read(process, tail=2000, **seen.chat) == seen.outputs[process]
    for process, page in seen.tickers.items():
        assert found[process]["state"] == "running"
        following = await peer.read(process, offset=page.next_offset, **seen.chat)
        assert following.start == page.next_offset
        lines = (page.output + following.output).splitlines()
        assert lines == [f"line {number + 1}" for number in range(len(lines))]
        assert len(lines) > len(page.output.splitlines())
    await peer.ok("write_input", process_id=seen.reader, text="after\n", close=True, **seen.chat)
    assert (await peer.read(seen.reader, wait_for="exit", wait_s=30, **seen.chat)).output == "before\nafter\n"


async def _check_nothing_is_visible(peer: Peer, seen: Seen, other: Seen) -> None:
    """Whatever the chat `seen` asks about a process of `other` is answered like a process that nobody has."""
    assert not other.ids & set(await peer.processes(**seen.chat))
    listing = await peer.resource(f"ws://chats/{seen.handle}/processes")
    assert not any(process in listing for process in other.ids)
    questions: tuple[tuple[str, Json], ...] = (
        ("read_output", {}),
        ("write_input", {"text": "x"}),
        ("signal_process", {"signal": "KILL"}),
    )
    for process in other.ids:
        for tool, arguments in questions:
            foreign = await peer.refused(tool, process_id=process, **arguments, **seen.chat)
            unknown = await peer.refused(tool, process_id=UNKNOWN, **arguments, **seen.chat)
            assert foreign.replace(process, UNKNOWN) == unknown
    process = next(iter(other.ended))
    assert await _resource_error(peer, seen, process) == await _resource_error(peer, seen, UNKNOWN)


async def _resource_error(peer: Peer, seen: Seen, process: str) -> str:
    try:
        await peer.resource(f"ws://chats/{seen.handle}/processes/{process}/output")
    except MCPError as error:
        return str(error).replace(process, "PROCESS")
    raise AssertionError("the output of a process that this chat does not have was answered")
