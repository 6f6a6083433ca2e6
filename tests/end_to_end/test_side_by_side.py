"""Hosts start one server per conversation: several on one state directory see each other's effects and repeat none."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from mcp import MCPDeprecationWarning, MCPError
from mcp.server.subscriptions import ResourceUpdated
from support.docker_cli import docker, remove_instance
from support.instances import IMAGE, Instance, make_instance
from support.peers import MODES, Json, Peer, open_peer, until
from support.real_engine import EngineGround


@asynccontextmanager
async def open_three(instance: Instance) -> AsyncGenerator[list[Peer]]:
    """Three servers of one user on one state directory and one engine."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(instance.open_peer()) for _ in range(3)]


async def all_at_once(peers: list[Peer], tool: str, times: int = 1, **arguments: object) -> list[Json]:
    """The same call by every peer at the same moment."""
    answers: list[Json] = []

    async def call(peer: Peer) -> None:
        answers.append(await peer.ok(tool, **arguments))

    async with anyio.create_task_group() as tasks:
        for peer in peers * times:
            tasks.start_soon(call, peer)
    return answers


async def test_the_same_workspace_asked_for_by_three_servers_is_made_once(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with open_three(instance) as peers:
            made = await all_at_once(peers, "provision_workspace", name="shared")
            assert sorted(str(answer["change"]) for answer in made) == ["created", "none", "none"]
            assert len(instance.containers) == 1
            for peer in peers:
                assert set(await peer.workspaces()) == {"shared"}
            assert len({str(answer["chat"]) for answer in made}) == 1


async def test_three_servers_that_begin_together_on_a_new_directory_are_one_instance(
    engine_ground: EngineGround, tmp_path: Path
) -> None:
    state = tmp_path / "new" / "state"
    state.parent.mkdir()
    peers: list[Peer] = []
    ready, done = anyio.Event(), anyio.Event()

    async def serve() -> None:
        async with open_peer(state, "--image", IMAGE) as peer:
            peers.append(peer)
            if len(peers) == 3:
                ready.set()
            await done.wait()

    try:
        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(serve)
                await ready.wait()
                made = await all_at_once(peers, "provision_workspace")
                assert sorted(str(answer["change"]) for answer in made) == ["created", "none", "none"]
                process = await peers[0].start("exec sleep 60", wait_s=0)
                for peer in peers:
                    assert set(await peer.processes()) == {process}
                done.set()
    finally:
        remove_instance((await make_instance(state.parent)).id)


async def test_one_request_key_starts_one_process_on_three_servers(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with open_three(instance) as peers:
            await peers[0].ok("provision_workspace")
            command = "echo run >> runs; exec sleep 60"
            started = await all_at_once(peers, "start_process", times=4, command=command, request_key="k", wait_s=0)
            assert len({str(answer["process_id"]) for answer in started}) == 1
            assert [answer.get("was_repeated", False) for answer in started].count(False) == 1
            for peer in peers:
                assert len(await peer.processes()) == 1
            runs = await peers[1].read(await peers[1].start("cat runs"))
            assert runs.output == "run\n"


async def test_three_servers_see_and_steer_each_others_processes(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with open_three(instance) as (first, second, third):
            await first.ok("provision_workspace")
            process = await first.start("echo hello; exec cat", keep_stdin=True, wait_s=0)
            assert (await second.processes())[process]["state"] == "running"
            await second.ok("write_input", process_id=process, text="from the second\n")
            page = await third.read(process, wait_for="pattern", pattern="second", wait_s=30)
            assert page.output == "hello\nfrom the second\n"
            await third.ok("signal_process", process_id=process, signal="TERM")
            ended = await first.read(process, wait_for="exit", wait_s=30)
            assert "killed by TERM" in ended.status
            for peer in (first, second, third):
                assert (await peer.processes())[process]["signal"] == "TERM"


async def test_starts_of_three_servers_at_once_are_all_there_and_none_twice(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with open_three(instance) as peers:
            await peers[0].ok("provision_workspace")
            started = await all_at_once(peers, "start_process", times=5, command="exec sleep 60", wait_s=0)
            ids = {str(answer["process_id"]) for answer in started}
            assert len(ids) == 15
            for peer in peers:
                assert set(await peer.processes()) == ids
            counted = docker("top", instance.container, "-eo", "pid,args").count("sleep 60")
            assert counted == 15


@pytest.mark.parametrize("mode", MODES)
async def test_who_watches_hears_what_another_server_does(instance: Instance, mode: str) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer(mode=mode) as watching, instance.open_peer(mode=mode) as working:
            chat = str((await working.ok("provision_workspace"))["chat"])
            processes = f"ws://chats/{chat}/processes"
            async with heard_by(watching, mode, processes) as heard:
                await until(lambda: _is_told(heard, processes, 1))  # it is connected: things may have happened before
                process = await working.start("read x; echo hello; read x", keep_stdin=True, wait_s=0)
                await until(lambda: _is_told(heard, processes, 2))
                output = f"{processes}/{process}/output"
                async with heard_by(watching, mode, output) as told:
                    await working.ok("write_input", process_id=process, text="go", enter=True)
                    await until(lambda: _is_told(told, output, 1))
                before = heard.count(processes)
                await working.ok("signal_process", process_id=process, signal="KILL")
                await until(lambda: _is_told(heard, processes, before + 1))
                # A place that did not exist when the watch began.
                await working.ok("provision_workspace", name="second")
                before = heard.count(processes)
                later = await working.start("read x; echo hello", workspace="second", keep_stdin=True, wait_s=0)
                await until(lambda: _is_told(heard, processes, before + 1))
                output = f"{processes}/{later}/output"
                async with heard_by(watching, mode, output) as told:
                    await working.ok("write_input", process_id=later, text="go", enter=True)
                    await until(lambda: _is_told(told, output, 1))


async def _is_told(heard: list[str], uri: str, count: int) -> bool:
    await anyio.lowlevel.checkpoint()
    return heard.count(uri) >= count


@asynccontextmanager
async def heard_by(peer: Peer, mode: str, uri: str) -> AsyncGenerator[list[str]]:
    """What a client that watches an address is told from now on."""
    if mode == "legacy":
        with pytest.warns(MCPDeprecationWarning):
            await peer.client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]  # the era has nothing else
        yield peer.updates
        return
    heard: list[str] = []
    async with peer.client.listen(resource_subscriptions=[uri]) as events, anyio.create_task_group() as tasks:

        async def hear() -> None:
            async for event in events:
                name = event.uri if isinstance(event, ResourceUpdated) else type(event).__name__
                heard.append(name)

        tasks.start_soon(hear)
        yield heard
        tasks.cancel_scope.cancel()


async def test_a_workspace_that_one_server_removed_is_gone_for_the_others(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with open_three(instance) as (first, second, third):
            await first.ok("provision_workspace")
            process = await second.start("exec sleep 60", wait_s=0)
            await third.ok("list_processes")
            removed = await first.ok("remove_workspace", name="main", keep_data=False)
            assert removed["ended_processes"] == 1
            for peer in (second, third):
                assert await peer.workspaces() == {}
                assert "provision_workspace" in await peer.refused("start_process", command="true")
                assert (await peer.processes()).get(process, {}).get("state") != "running"
                assert "its workspace was removed" in (await peer.read(process)).status
            assert instance.containers == []
            made = await third.ok("provision_workspace")
            assert made["change"] == "created"
            assert await first.start("true", wait_s=30)


async def test_a_server_that_dies_in_the_middle_of_a_provision_blocks_nobody(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as survivor:
            async with instance.open_peer() as victim, anyio.create_task_group() as tasks:
                tasks.start_soon(_ask_in_vain, victim)
                await until(lambda: anyio.to_thread.run_sync(lambda: instance.containers))
                await victim.kill()
            await survivor.ok("provision_workspace")
            assert await survivor.start("true", wait_s=30)
            assert len(instance.containers) == 1


async def _ask_in_vain(peer: Peer) -> None:
    with pytest.raises(MCPError):  # the connection ends with the server
        await peer.call("provision_workspace")
