"""Bad input, through a real client on the real server: one line that helps, nothing half-made, and it goes on."""

from __future__ import annotations

import contextlib
from typing import IO, cast

import anyio
import pytest
from mcp import MCPError
from support.bad_input import GONE, HUGE, ROWS
from support.instances import IMAGE, Instance
from support.memory import forget_peak, memory_of
from support.peers import MODES, Json, server_argv
from support.raw_client import Era, RawClient, RawClientError, open_child


async def test_every_row_is_refused_in_one_line_and_leaves_nothing_behind(
    instance: Instance, subtests: pytest.Subtests
) -> None:
    with anyio.fail_after(100):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            named = {
                "LIVING": await peer.start("exec sleep 600", wait_s=0),
                "ENDED": await peer.start("true", wait_s=30),
                "HUGE": "x" * HUGE,
            }
            before = (instance.containers, instance.volumes)
            for tool, (case, asked, step, *words) in ((tool, row) for tool, rows in ROWS.items() for row in rows):
                with subtests.test(case):
                    arguments = {name: filled(value, named) for name, value in asked.items()}
                    refusal = await peer.refused(tool, **arguments)
                    assert step in refusal, refusal
                    assert all(word in refusal for word in words), refusal
                    assert (instance.containers, instance.volumes) == before
                    assert (await peer.ok("start_process", command="echo well", wait_s=30))["output"] == "well\n"
            running = [p for p in (await peer.processes()).values() if p["state"] == "running"]
            assert [process["process_id"] for process in running] == [named["LIVING"]]


async def test_a_foreign_thing_and_none_are_one_answer(instance: Instance, other_instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer, other_instance.open_peer() as stranger:
            await peer.ok("provision_workspace")
            mine = await peer.start("exec sleep 600", wait_s=0)
            other = str((await peer.ok("provision_workspace", chat="new", name="den"))["chat"])
            theirs = await peer.start("exec sleep 600", wait_s=0, chat=other)
            foreign_chat = str((await stranger.ok("provision_workspace", chat="new"))["chat"])

            foreign = await peer.refused("read_output", process_id=theirs)
            assert mine in foreign
            assert foreign.replace(theirs, GONE) == await peer.refused("read_output", process_id=GONE)
            foreign = await peer.refused("start_process", command="true", workspace="den")
            assert foreign.replace("'den'", "'no'") == await peer.refused(
                "start_process", command="true", workspace="no"
            )
            unknown = await peer.refused("list_processes", chat="c_" + "A" * 22)
            assert await peer.refused("list_processes", chat=foreign_chat) == unknown


@pytest.mark.parametrize("mode", MODES)
async def test_100_mb_of_environment_are_refused_in_bounded_memory(instance: Instance, mode: str) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer(mode=mode) as peer:
            await peer.ok("provision_workspace")
            before = (instance.containers, instance.volumes)
            forget_peak(peer.pid)
            small = memory_of(peer.pid, "VmRSS")
            for tool, arguments in (("start_process", {"command": "true"}), ("provision_workspace", {"name": "big"})):
                with pytest.raises(MCPError, match="too large"):
                    await peer.call(tool, env={"A": "x" * 100_000_000}, **arguments)
                assert (await peer.ok("start_process", command="echo well", wait_s=30))["output"] == "well\n"
            assert memory_of(peer.pid, "VmHWM") - small < 40_000_000
            assert (instance.containers, instance.volumes) == before


async def test_an_argument_that_one_host_adds_is_dropped(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", wait_for_previous=True)
            await peer.ok("list_processes", wait_for_previous=False)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_lone_surrogates_are_refused_and_the_server_goes_on(instance: Instance, era: Era) -> None:
    with open_child(server_argv("stdio", instance.state, "--image", IMAGE)) as child:
        client = RawClient(child, era)
        client.connect()
        client.ok("provision_workspace")
        for arguments in ({"command": "echo \ud800"}, {"command": "true", "env": {"A": "\udfff"}}, {"\ud800": "x"}):
            with contextlib.suppress(RawClientError):  # refused as a request, or as a tool call
                assert client.call("start_process", **arguments).is_error
            assert client.ok("start_process", command="echo well", wait_s=30).structured["output"] == "well\n"
        process = client.ok("start_process", command="cat", keep_stdin=True, wait_s=0).structured["process_id"]
        with contextlib.suppress(RawClientError):
            assert client.call("write_input", process_id=process, text="\udc80").is_error
        assert client.ok("start_process", command="echo well", wait_s=30).structured["output"] == "well\n"


def test_lines_that_are_no_messages_do_not_end_the_server(instance: Instance) -> None:
    with open_child(server_argv("stdio", instance.state)) as child:
        client = RawClient(child)
        client.connect()
        for line in (b"{", b"[]", b"null", b"\xff\xfe", b'{"jsonrpc":"2.0"}', b"{}" * 1000, b""):
            cast("IO[bytes]", child.stdin).write(line + b"\n")
            cast("IO[bytes]", child.stdin).flush()
            assert client.ok("list_containers").structured["workspaces"] == []


def filled(value: object, named: dict[str, str]) -> object:
    """An argument with what its row could not know."""
    if isinstance(value, dict):
        return {name: filled(part, named) for name, part in cast("Json", value).items()}
    return named.get(value, value) if isinstance(value, str) else value
