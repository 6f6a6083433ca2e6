"""A server that is killed at any engine call that changes something: the next one has the workspace whole.

Each call once: when the engine has done it and before the server hears of it, which is the worst moment.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from mcp import MCPError
from support.engine_calls import Trap
from support.engine_proxy import EngineProxy, open_proxy
from support.instances import Instance, open_instance
from support.peers import Json, Peer, ended
from support.real_engine import EngineGround
from support.tier_probe import output_of

WISH: Json = {"env": {"A": "1"}, "options": {"files": {"a.txt": "one"}}}
CHANGED: Json = {"env": {"A": "2"}, "options": {"files": {"a.txt": "two"}, "replace": "always"}}
MOST = 40


@asynccontextmanager
async def open_victim(instance: Instance, proxy: EngineProxy) -> AsyncGenerator[Peer]:
    """A server that speaks to the engine through the proxy, which may kill it."""
    async with instance.open_peer(environment={"DOCKER_HOST": proxy.url}) as peer:

        def kill() -> None:
            with suppress(ProcessLookupError):
                os.kill(peer.pid, signal.SIGKILL)

        proxy.kill = kill
        try:
            yield peer
        finally:
            proxy.is_fatal = lambda _call: False


async def survives(peer: Peer, proxy: EngineProxy, trap: Trap, tool: str, arguments: Json) -> bool:
    """Whether the server gets through a call without a call of the engine at which it was not killed yet."""
    before = len(trap.sprung)
    trap.begin()
    proxy.is_fatal = trap.springs_at
    try:
        await peer.ok(tool, **arguments)
    except MCPError:
        assert len(trap.sprung) == before + 1
        await ended(peer.pid)
        return False
    finally:
        proxy.is_fatal = lambda _call: False
    return True


async def check_whole(instance: Instance, peer: Peer, wish: Json, content: str) -> None:
    """That after a provision the workspace is as it was wished for, runs, and that there is nothing beside it."""
    await peer.ok("provision_workspace", **wish)
    assert await output_of(peer, "cat /configs/a.txt") == content
    (name,) = instance.containers
    (network,) = instance.networks
    kinds = sorted(volume.removeprefix(f"{name}-").partition("-")[0] for volume in instance.volumes)
    assert (network, kinds) == (f"{name}-net", ["configs", "data", "wsmcp"])  # the last is execd's
    left = instance.docker("ps", "--all", "--filter", f"name={name}-", "--format", "{{.Names}}")
    assert left == ""


Scenario = Callable[[Instance, Peer, EngineProxy, Trap], Awaitable[bool]]


async def creating(instance: Instance, peer: Peer, proxy: EngineProxy, trap: Trap) -> bool:
    """What the last one left is made whole, taken away, and made again under fire; at first on an untouched engine."""
    if trap.sprung:
        await check_whole(instance, peer, WISH, "one")
        await peer.ok("remove_workspace", name="main", keep_data=False)
        assert (instance.containers, instance.networks) == ([], [])
    return await survives(peer, proxy, trap, "provision_workspace", WISH)


async def recreating(instance: Instance, peer: Peer, proxy: EngineProxy, trap: Trap) -> bool:
    """The same, made anew under fire; its files stay whatever happens."""
    wish = {**WISH, "options": {"files": {"a.txt": "one"}, "replace": "always"}}
    await check_whole(instance, peer, wish, "one")
    await output_of(peer, 'test -e /workspace/file || test -n "$(ls /workspace)" || echo kept > /workspace/file')
    assert await output_of(peer, "cat /workspace/file") == "kept"
    return await survives(peer, proxy, trap, "provision_workspace", CHANGED)


async def removing(instance: Instance, peer: Peer, proxy: EngineProxy, trap: Trap) -> bool:
    """The same, removed under fire."""
    await check_whole(instance, peer, WISH, "one")
    return await survives(peer, proxy, trap, "remove_workspace", {"name": "main", "keep_data": False})


SCENARIOS: tuple[tuple[Scenario, int], ...] = ((creating, 13), (recreating, 13), (removing, 4))


@pytest.fixture
def instances(engine_ground: EngineGround, tmp_path: Path) -> Generator[list[Instance]]:
    """One for each scenario: starting servers is what takes the time, so they run side by side."""
    with ExitStack() as stack:
        names = [scenario.__name__ for scenario, _ in SCENARIOS]
        yield [stack.enter_context(open_instance(tmp_path / name)) for name in names]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_server_killed_at_any_call_leaves_what_the_next_one_makes_whole(instances: list[Instance]) -> None:
    async def run(instance: Instance, scenario: Scenario, least: int) -> None:
        trap = Trap()
        async with open_proxy(instance.state.parent / "docker.sock") as proxy:
            for _ in range(MOST):
                async with open_victim(instance, proxy) as peer:
                    if await scenario(instance, peer, proxy, trap):
                        break
            else:
                raise AssertionError(f"it never came to an end: {sorted(trap.sprung)}")
        assert len(trap.sprung) >= least, sorted(trap.sprung)

    with anyio.fail_after(840):
        async with anyio.create_task_group() as tasks:
            for instance, (scenario, least) in zip(instances, SCENARIOS, strict=True):
                tasks.start_soon(run, instance, scenario, least)
