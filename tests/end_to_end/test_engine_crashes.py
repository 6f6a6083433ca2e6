"""A real engine is killed in the middle of what it was asked, stopped for a while, loses its containerd or a shim.

One dockerd serves several faults in a row. With live-restore nothing is lost; without, what ended with it is not called
running. Workspaces are whole or absent afterwards, and what works again works within 5 seconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.engine_proxy import EngineProxy, open_proxy
from support.instances import IMAGE
from support.peers import Peer, open_peer, until
from support.private_engine import PrivateEngine, open_private_engine
from support.real_engine import EngineGround
from support.soaked import IS_LONG

pytestmark = pytest.mark.slow

TICKER = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.02; done'
BACK_S = 5.0
# The call of the engine at whose answer it dies, and the call of ours that needs it.
IN_THE_MIDDLE = {
    "POST /containers/create": ("provision_workspace", {"name": "new"}),
    "POST /containers/*/start": ("provision_workspace", {"name": "newer"}),
    "POST /exec": ("start_process", {"command": "echo one", "workspace": "other", "wait_s": 20}),
    "POST /containers/*/stop": ("stop_workspace", {"name": "other"}),
    "DELETE /containers/*": ("remove_workspace", {"name": "new", "keep_data": False}),
    "DELETE /volumes": ("remove_workspace", {"name": "newer", "keep_data": False}),
    "GET /containers/json": ("list_containers", {}),
}

SOME_IN_THE_MIDDLE = {each: IN_THE_MIDDLE[each] for each in ("POST /containers/create", "DELETE /containers/*")}


@asynccontextmanager
async def _open_ground(path: Path, engine: PrivateEngine) -> AsyncGenerator[tuple[Peer, EngineProxy]]:
    async with (
        open_proxy(path / "proxy.sock", engine.url) as proxy,
        open_peer(path / "state", "--image", IMAGE, environment={"DOCKER_HOST": proxy.url}) as peer,
    ):
        yield peer, proxy


async def _check_no_gap(peer: Peer, process: str) -> None:
    page = await peer.read(process, limit=39_000)
    lines = page.output.splitlines()
    assert lines == [f"line {number + 1}" for number in range(len(lines))]
    assert (await peer.processes())[process]["state"] == "running"


async def _check_whole(peer: Peer, engine: PrivateEngine, left_alone: str = "") -> None:
    """Each workspace works, or is not there: and nothing is on the engine that belongs to none."""
    names = [name for name in await peer.workspaces() if name != left_alone]
    for name in names:
        made = await peer.ok("provision_workspace", name=name)
        while made["change"] == "working":
            made = await peer.ok("provision_workspace", name=name)
        page = await peer.read(await peer.start("echo works", workspace=name, wait_s=30))
        assert page.output == "works\n"
    containers = engine.docker("ps", "--all", "--format", "{{.Names}}").split()
    assert len(containers) == len(names) + bool(left_alone), containers
    assert not [each for each in containers if each.endswith(("-new", "-old"))]


async def _is_back(peer: Peer) -> bool:
    return not (await peer.ok("list_containers")).get("unknown")


async def _is_back_in_time(peer: Peer) -> None:
    with anyio.fail_after(BACK_S):
        await until(lambda: _is_back(peer))


async def test_a_crash_in_the_middle_of_anything_loses_no_process_and_leaves_workspaces_whole(
    engine_ground: EngineGround, tmp_path: Path
) -> None:
    with open_private_engine(IMAGE) as engine, anyio.fail_after(300):
        async with _open_ground(tmp_path, engine) as (peer, proxy):
            await peer.ok("provision_workspace")
            process = await peer.start(TICKER, wait_s=0)
            for where, (tool, arguments) in (IN_THE_MIDDLE if IS_LONG else SOME_IN_THE_MIDDLE).items():
                if tool != "provision_workspace" and arguments.get("name", "other") == "other":
                    await peer.ok("provision_workspace", name="other")
                await _die_at(where, engine, proxy, partial(peer.call, tool, **arguments))
                await _is_back_in_time(peer)
                await _check_no_gap(peer, process)
            await _check_whole(peer, engine, left_alone="main")
            await _check_no_gap(peer, process)


async def _die_at(where: str, engine: PrivateEngine, proxy: EngineProxy, act: Callable[[], Awaitable[object]]) -> None:
    """The engine dies when it has done what it is asked for there and nobody knows yet, and comes back."""
    died = anyio.Event()

    def kill() -> None:
        died.set()
        engine.kill()

    proxy.kill, proxy.is_fatal = kill, lambda call: call.startswith(where)
    if where == "POST /exec":
        await proxy.cut()  # the next start needs a new stream
    await act()
    assert died.is_set(), where
    proxy.is_fatal = lambda _call: False
    await proxy.cut()
    await anyio.to_thread.run_sync(engine.start)


if IS_LONG:

    async def test_a_hang_and_the_end_of_its_containerd_lose_no_process(
        engine_ground: EngineGround, tmp_path: Path
    ) -> None:
        with open_private_engine(IMAGE) as engine, anyio.fail_after(150):
            async with _open_ground(tmp_path, engine) as (peer, _):
                await peer.ok("provision_workspace")
                process = await peer.start(TICKER, wait_s=0)
                engine.hang()
                assert "did not answer in time" in await peer.refused("provision_workspace")
                engine.go_on()
                await _is_back_in_time(peer)
                await _check_no_gap(peer, process)

                before = engine.containerd
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(peer.call, "provision_workspace")
                    engine.kill_containerd()
                await anyio.to_thread.run_sync(engine.await_containerd, before)
                await _is_back_in_time(peer)
                await _check_no_gap(peer, process)
                await peer.call("provision_workspace", name="other")  # it may have been in the middle
                await _check_whole(peer, engine, left_alone="main")
                await _check_no_gap(peer, process)


async def test_what_ends_with_an_engine_is_lost_and_never_called_running(
    engine_ground: EngineGround, tmp_path: Path
) -> None:
    with open_private_engine(IMAGE, has_live_restore=False) as engine, anyio.fail_after(120):
        async with _open_ground(tmp_path, engine) as (peer, _):
            await peer.ok("provision_workspace")
            process = await peer.start(TICKER, wait_s=0)
            engine.kill()
            await anyio.to_thread.run_sync(engine.start)
            await _is_back_in_time(peer)
            await until(lambda: _has_ended(peer))  # the engine ends what it does not restore after it is back
            found = (await peer.processes())[process]
            assert found["state"] == "lost", found
            assert "ended when the container engine restarted" in str(found["status"]), found["status"]
            assert "running" not in (await peer.read(process)).status
            await _check_whole(peer, engine)

            again = await peer.start(TICKER, wait_s=0)
            engine.kill_shim(engine.docker("ps", "--quiet").strip())
            await until(lambda: _has_ended(peer))
            assert (await peer.processes())[again]["state"] == "lost"
            await _check_whole(peer, engine)


async def _has_ended(peer: Peer) -> bool:
    return (await peer.workspaces())["main"]["state"] == "stopped"
