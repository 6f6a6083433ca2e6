"""A server that is killed at any engine call that changes something: the next one has the workspace whole.

Each third call once, with `make soak` each: when the engine has done it and before the server hears of it, which is
the worst moment.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from support import victim
from support.engine_calls import Trap
from support.engine_proxy import EngineProxy, open_proxy
from support.instances import Instance, open_instance
from support.peers import Json, Peer, server_environment
from support.real_engine import EngineGround
from support.soaked import IS_LONG
from support.tier_probe import output_of

WISH: Json = {"env": {"A": "1"}, "options": {"files": {"a.txt": "one"}, "replace": "always"}}
MOST = 40
EVERY = 1 if IS_LONG else 3
ACTS = {"create": 14, "recreate": 15, "remove": 6}  # and how many calls each has at least


class Victims:
    """Servers, one after the other; each does one act."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._said = BufferedByteReceiveStream(process.stdout) if process.stdout else None

    async def _next(self) -> int:
        assert self._said is not None
        return int(await self._said.receive_until(b"\n", 100))

    async def survives(self, instance: Instance, chat: str, act: str, proxy: EngineProxy, trap: Trap) -> bool:
        """Whether one gets through an act without a call of the engine at which none was killed yet."""
        before, pid = len(trap.sprung), await self._next()
        trap.begin()
        proxy.kill, proxy.is_fatal = partial(os.kill, pid, signal.SIGKILL), trap.springs_at
        try:
            assert self._process.stdin is not None
            await self._process.stdin.send("\0".join((str(instance.state), proxy.url, chat, act)).encode())
            code = await self._next()
        finally:
            proxy.is_fatal = lambda _call: False
        assert code in (0, -signal.SIGKILL), "it said why on stderr"
        assert len(trap.sprung) == before + (code != 0)
        return code == 0


@asynccontextmanager
async def open_victims() -> AsyncGenerator[Victims]:
    argv = (sys.executable, victim.__file__)
    async with await anyio.open_process(argv, stderr=None, env=server_environment(), start_new_session=True) as process:
        try:
            yield Victims(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


async def check_whole(instance: Instance, peer: Peer) -> None:
    """That after a provision the workspace is as it was wished for, runs, and that there is nothing beside it."""
    await peer.ok("provision_workspace", **WISH)
    assert await output_of(peer, "cat /configs/a.txt; echo $A") == "one1"
    (name,) = instance.containers
    kinds = sorted(volume.removeprefix(f"{name}-").partition("-")[0] for volume in instance.volumes)
    assert (instance.networks, kinds) == ([f"{name}-net"], ["configs", "data", "wsmcp"])  # the last is execd's
    # What files go through carries no label.
    assert instance.docker("ps", "--all", "--filter", f"name={name}-", "--format", "{{.Names}}") == ""
    assert instance.docker("ps", "--all", "--filter", f"name={instance.id}", "--format", "{{.Names}}") == ""


async def run(instance: Instance, act: str, least: int) -> None:
    """Have servers killed at each call of an act, and look what the next one makes of it."""
    trap = Trap(every=EVERY)
    async with (
        open_proxy(instance.state.parent / "docker.sock") as proxy,
        instance.open_peer() as peer,
        open_victims() as victims,
    ):
        chat = str((await peer.ok("list_containers"))["chat"])
        if act == "recreate":
            await check_whole(instance, peer)
            await output_of(peer, "echo kept > /workspace/file")
        for _ in range(MOST):
            if act == "remove":
                await check_whole(instance, peer)
            if await victims.survives(instance, chat, act, proxy, trap):
                break
            await check_whole(instance, peer)
            if act == "create":
                await peer.ok("remove_workspace", name="main", keep_data=False)
                assert (instance.containers, instance.networks) == ([], [])
                instance.docker("volume", "rm", *instance.volumes)  # execd's, so that it is brought anew
            if act == "recreate":
                assert await output_of(peer, "cat /workspace/file") == "kept"
        else:
            raise AssertionError(f"it never came to an end: {sorted(trap.sprung)}")
    assert len(trap.sprung | trap.spared) >= least, sorted(trap.sprung | trap.spared)
    assert len(trap.sprung) >= least // EVERY


@pytest.fixture
def instances(engine_ground: EngineGround, tmp_path: Path) -> Generator[dict[str, Instance]]:
    """One for each act: they run side by side, since starting servers is what takes the time."""
    with ExitStack() as stack:
        yield {act: stack.enter_context(open_instance(tmp_path / act)) for act in ACTS}


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_server_killed_at_any_call_leaves_what_the_next_one_makes_whole(instances: dict[str, Instance]) -> None:
    with anyio.fail_after(280):
        async with anyio.create_task_group() as tasks:
            for act, least in ACTS.items():
                tasks.start_soon(run, instances[act], act, least)
