"""What breaks behind the server's back: said in one line with what to do next, and the server goes on."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from support.docker_cli import docker
from support.engine_proxy import EngineProxy, open_proxy
from support.instances import Instance
from support.peers import Peer, open_peer

TICKER = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.02; done'


def _peer_through(instance: Instance, proxy: EngineProxy) -> AbstractAsyncContextManager[Peer]:
    return instance.open_peer(environment={"DOCKER_HOST": proxy.url})


async def _peer_with_process(peer: Peer) -> str:
    await peer.ok("provision_workspace")
    return await peer.start("exec sleep 600", wait_s=0)


async def _check_process_is_lost(peer: Peer, process: str) -> None:
    found = (await peer.processes())[process]
    assert found["state"] == "lost", found
    assert "how it ended is not known" in str(found["status"])


async def test_a_container_stopped_behind_our_back_is_started_by_a_provision(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            process = await _peer_with_process(peer)
            docker("kill", instance.container)
            assert "provision_workspace" in await peer.refused("start_process", command="true")
            assert (await peer.workspaces())["main"]["state"] == "stopped"
            await peer.refused("signal_process", process_id=process, signal="KILL")
            assert (await peer.ok("provision_workspace"))["change"] == "started"
            assert await peer.start("true", wait_s=30)
            await _check_process_is_lost(peer, process)


async def test_a_container_restarted_behind_our_back_has_lost_its_processes_and_says_so(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            process = await _peer_with_process(peer)
            docker("restart", "--time", "0", instance.container)
            assert await peer.start("true", wait_s=30)
            await _check_process_is_lost(peer, process)
            assert "lost" in (await peer.read(process)).status


async def test_a_server_that_begins_later_knows_that_a_keyed_start_is_lost(instance: Instance) -> None:
    with anyio.fail_after(75):
        command = "exec sleep 600"
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            process = await peer.start(command, request_key="k", wait_s=0)
        docker("restart", "--time", "0", instance.container)
        async with instance.open_peer() as later:
            assert f"process {process} is lost" in await later.refused("read_output", process_id=process)
            assert "another key" in await later.refused("start_process", command=command, request_key="k")
            assert await later.processes() == {}


async def test_a_container_removed_behind_our_back_is_made_again_by_a_provision(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            process = await _peer_with_process(peer)
            await peer.start("echo kept > file", wait_s=30)
            docker("rm", "--force", instance.container)
            assert "provision_workspace" in await peer.refused("start_process", command="true")
            assert "its workspace was removed" in (await peer.read(process)).status
            assert await peer.workspaces() == {}
            assert (await peer.ok("provision_workspace"))["change"] == "created"
            assert (await peer.read(await peer.start("cat file", wait_s=30))).output == "kept\n"


async def test_an_execd_that_died_is_said_and_put_right_by_a_provision(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            await _peer_with_process(peer)
            pid = int(docker("inspect", "--format", "{{.State.Pid}}", instance.container))
            os.kill(pid, signal.SIGKILL)
            docker("wait", instance.container)
            assert "provision_workspace" in await peer.refused("start_process", command="true")
            assert (await peer.ok("provision_workspace"))["change"] == "started"
            assert await peer.start("true", wait_s=30)


@pytest.mark.slow
async def test_a_paused_container_is_said_to_be_paused_and_its_processes_live_on(instance: Instance) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer() as peer, instance.open_peer() as other:
            process = await _peer_with_process(peer)
            container = instance.container
            docker("pause", container)
            began = anyio.current_time()
            refused = await peer.refused("start_process", command="exec sleep 601", wait_s=0)
            assert "paused" in refused
            assert "not known" in refused  # it was sent before anybody could know
            assert anyio.current_time() - began < 12
            assert "is paused; unpause it" in await peer.refused("start_process", command="true", wait_s=0)
            for one in (peer, other):
                assert (await one.workspaces())["main"]["state"] == "paused"
                assert "paused" in await one.refused("read_output", process_id=process)
                assert (await one.ok("list_processes"))["unavailable"] == ["main"]
            assert "paused" in await other.refused("start_process", command="true", wait_s=0)
            docker("unpause", container)
            assert await peer.start("true", wait_s=30)
            for one in (peer, other):
                assert (await one.processes())[process]["state"] == "running"
            assert len([p for p in (await peer.processes()).values() if p["command"] == "exec sleep 601"]) == 1
            assert (await peer.ok("signal_process", process_id=process, signal="KILL"))["state"] == "ended"


async def test_without_an_engine_the_server_says_so_and_local_work_goes_on(tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(75):
        environment = {"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}
        async with open_peer(tmp_path / "state", "--allow-host-processes", environment=environment) as peer:
            assert "engine" in await peer.refused("provision_workspace", kind="container", image="any:1")
            assert (await peer.ok("list_containers"))["unknown"]
            made = await peer.ok("provision_workspace", kind="local", name="here")
            assert made["change"] == "created"
            page = await peer.read(await peer.start("echo works", workspace="here", wait_s=30))
            assert page.output == "works\n"
            await peer.ok("remove_workspace", name="here", keep_data=False)


@pytest.mark.slow
async def test_an_engine_that_never_answers_is_given_up(tmp_path: Path, real_io: None) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as deaf, anyio.fail_after(90):
        deaf.bind(str(path))
        deaf.listen(64)  # it accepts, and that is all
        environment = {"DOCKER_HOST": f"unix://{path}"}
        async with open_peer(tmp_path / "state", environment=environment) as peer, anyio.create_task_group() as tasks:
            tasks.start_soon(_is_given_up, peer)
            await peer.client.list_tools()  # others are not held up


async def _is_given_up(peer: Peer) -> None:
    refusal = await peer.refused("provision_workspace", kind="container", image="any:1")
    assert "did not answer in time" in refusal


async def test_an_engine_that_goes_away_and_comes_back_takes_no_process_with_it(
    instance: Instance, tmp_path: Path
) -> None:
    with anyio.fail_after(75):
        async with open_proxy(tmp_path / "docker.sock") as proxy, _peer_through(instance, proxy) as peer:
            await peer.ok("provision_workspace")
            process = await peer.start(TICKER, wait_s=0)
            page = await peer.read(process, wait_for="pattern", pattern="line 3", wait_s=30)
            proxy.is_open = False
            await proxy.cut()
            assert "engine" in await peer.refused("start_process", command="true")
            assert (await peer.ok("list_containers"))["unknown"]
            proxy.is_open = True
            following = await peer.read(process, offset=page.next_offset, wait_for="output", wait_s=30)
            assert following.start == page.next_offset
            assert await peer.start("true", wait_s=30)


async def test_a_cut_stream_does_not_interrupt_a_read_that_waits(instance: Instance, tmp_path: Path) -> None:
    with anyio.fail_after(75):
        async with open_proxy(tmp_path / "docker.sock") as proxy, _peer_through(instance, proxy) as peer:
            await peer.ok("provision_workspace")
            process = await peer.start("read line; echo got $line", keep_stdin=True, wait_s=0)

            async def wait() -> None:
                assert "got it" in (await peer.read(process, wait_for="exit", wait_s=20)).output

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await peer.ok("list_processes")
                await proxy.cut()
                await peer.ok("write_input", process_id=process, text="it\n")
