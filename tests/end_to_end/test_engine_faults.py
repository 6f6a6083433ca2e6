"""An engine that answers by halves, wrongly, late or never, by a proxy before its socket.

Nothing is concluded from that, nothing is removed, work elsewhere goes on, and what works again is used within seconds.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from support.docker_cli import docker
from support.engine_proxy import EngineProxy, OnTrouble, Trouble, answer_of, open_proxy
from support.instances import Instance
from support.peers import Peer, server_argv, server_environment, until
from support.soaked import IS_LONG

pytestmark = pytest.mark.slow

BACK_S = 5.0
CONVERGED_S = 35.0
P99_S = 0.2
CALLS = 120  # of starts, and as many reads: two starts in 30 s wait for who is silent, for the limit of a chat

LISTS = ("GET /containers/json", "GET /volumes", "GET /networks")
PARTS = {
    "a part": Trouble(instead=answer_of(206, "[]")),
    "an error": Trouble(instead=answer_of(500, '["later"]')),
    "no list": Trouble(instead=answer_of(200, "{}")),
    "half of the JSON": Trouble(instead=answer_of(200, '[{"Id": "aaaa"}, {"Id": ')),
    "less than was said": Trouble(instead=answer_of(200, "[]", length=4000)),
    "a cut in the middle": Trouble(cut_at=300),
    "a reset": Trouble(instead=b""),
}


@asynccontextmanager
async def _open_ground(path: Path, instance: Instance, *flags: str) -> AsyncGenerator[tuple[Peer, EngineProxy]]:
    async with (
        open_proxy(path / "docker.sock") as proxy,
        instance.open_peer(*flags, environment={"DOCKER_HOST": proxy.url}) as peer,
    ):
        yield peer, proxy


def _lists(trouble: Trouble) -> OnTrouble:
    """Only lists are in trouble, and events cannot be heard, so that each question is a look."""
    deaf = Trouble(instead=answer_of(500, '{"message": "later"}'))
    return lambda call: trouble if call.startswith(LISTS) else deaf if call.startswith("GET /events") else Trouble()


def _things(instance: Instance) -> tuple[list[str], list[str], list[str]]:
    return sorted(instance.containers), sorted(instance.volumes), sorted(instance.networks)


async def _sweep(instance: Instance, proxy: EngineProxy) -> subprocess.CompletedProcess[bytes]:
    argv = server_argv("sweep", instance.state, "--apply", "--data")
    environment = {**server_environment(), "DOCKER_HOST": proxy.url}
    return await anyio.run_process(argv, env=environment, check=False)


async def test_from_lists_that_are_not_whole_nothing_is_concluded_and_nothing_is_removed(
    instance: Instance, tmp_path: Path
) -> None:
    with anyio.fail_after(120):
        async with _open_ground(tmp_path, instance) as (peer, proxy):
            await peer.ok("provision_workspace")
            await peer.ok("list_containers")
            before = _things(instance)
            await proxy.cut()
            for what, trouble in PARTS.items():
                proxy.trouble = _lists(trouble)
                listing = await peer.ok("list_containers")
                assert listing["unknown"], what
                assert float(str(listing["age_s"])) > 0, what
                assert (await peer.workspaces())["main"]["state"] == "running", what
                if what == "a part" or IS_LONG:
                    assert (await _sweep(instance, proxy)).returncode, what
                assert _things(instance) == before, what
            proxy.trouble = lambda _call: Trouble()
            with anyio.fail_after(BACK_S):
                await until(lambda: _is_back(peer))


async def test_what_happened_while_events_were_silent_is_seen_at_once_after_a_reconnect(
    instance: Instance, tmp_path: Path
) -> None:
    with anyio.fail_after(75):
        async with _open_ground(tmp_path, instance) as (peer, proxy):
            proxy.trouble = _silent
            await peer.ok("provision_workspace")
            await until(lambda: _is_heard(proxy))
            docker("kill", instance.container)
            proxy.trouble = lambda _call: Trouble()
            await proxy.cut()
            with anyio.fail_after(BACK_S):
                await until(lambda: _is_stopped(peer))


if IS_LONG:  # it takes what it promises

    async def test_with_all_events_dropped_what_is_is_seen_within_35_s(instance: Instance, tmp_path: Path) -> None:
        with anyio.fail_after(120):
            async with _open_ground(tmp_path, instance) as (peer, proxy):
                proxy.trouble = _silent
                await peer.ok("provision_workspace")
                await until(lambda: _is_heard(proxy))
                await peer.ok("list_containers")
                docker("kill", instance.container)
                with anyio.fail_after(CONVERGED_S):
                    await until(lambda: _is_stopped(peer))


async def test_local_work_goes_on_while_the_engine_answers_nobody_and_few_wait_for_it(
    instance: Instance, tmp_path: Path
) -> None:
    with anyio.fail_after(150):
        async with _open_ground(tmp_path, instance, "--allow-host-processes") as (peer, proxy):
            await peer.ok("provision_workspace")
            await peer.ok("provision_workspace", kind="local", name="here")
            usual_s = await _p99(peer)
            proxy.trouble = lambda _call: Trouble(is_never=True)
            await proxy.cut()
            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(partial(peer.call, "provision_workspace", name=f"w{number}"))
                p99_s = await _p99(peer)
                print(f"p99 of local calls: {usual_s * 1000:.0f} ms before, {p99_s * 1000:.0f} ms meanwhile")
                assert p99_s <= max(P99_S, 3 * usual_s)
            # By now it is known that it hangs.
            began = anyio.current_time()
            refused = await peer.refused("provision_workspace")
            assert "has not answered for" in refused, refused
            assert "next try" in refused
            for _ in range(20):
                assert (await peer.ok("list_containers"))["unknown"]
            assert anyio.current_time() - began < 10  # one look at it alone takes so long
            proxy.trouble = lambda _call: Trouble(delay_s=0.2)  # slow is not hung
            with anyio.fail_after(2 * BACK_S):
                await until(lambda: _is_back(peer))
            assert (await peer.ok("provision_workspace"))["change"] == "none"


async def _p99(peer: Peer) -> float:
    """Of starts and reads in the local workspace, in seconds."""
    took: list[float] = []
    for _ in range(CALLS):
        began = anyio.current_time()
        process = await peer.start("true", workspace="here", wait_s=0)
        took.append(anyio.current_time() - began)
        began = anyio.current_time()
        await peer.read(process)
        took.append(anyio.current_time() - began)
    return sorted(took)[int(len(took) * 0.99)]


def _silent(call: str) -> Trouble:
    return Trouble(is_silent=call.startswith("GET /events"))


async def _is_heard(proxy: EngineProxy) -> bool:
    return any(call.startswith("GET /events") for call in proxy.calls)


async def _is_back(peer: Peer) -> bool:
    return not (await peer.ok("list_containers")).get("unknown")


async def _is_stopped(peer: Peer) -> bool:
    return (await peer.workspaces())["main"]["state"] == "stopped"
