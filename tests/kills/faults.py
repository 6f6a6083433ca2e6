"""Does what a plan says to whom it says: kills a server, an execd, a container."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from kills.ground import Ground
from kills.plan import Fault, Plan
from kills.story import Story
from support.docker_cli import docker
from support.engine_calls import LOOKS
from support.engine_proxy import EngineProxy
from support.peers import Peer, ended

from ws_mcp.core.workspaces.local_record import FILE, read_record

WAIT_S = 40.0  # for a call that may never come: an act may need fewer


class Blow:
    """One fault. `hit`: the workspaces of chat A whose processes it ended."""

    def __init__(self, plan: Plan, ground: Ground, story: Story, victim: Peer) -> None:
        self.hit: set[str] = set()
        self._plan = plan
        self._ground = ground
        self.story = story
        self._victim = victim
        self._due = anyio.Event()
        self._calls = 0

    def watch(self, proxy: EngineProxy) -> None:
        """See the calls of the act to the engine."""
        if self._plan.moment.asks_engine:
            proxy.kill, proxy.is_fatal = self._strike_now, self._springs_at

    def _springs_at(self, call: str) -> bool:
        if call.startswith(LOOKS) or self._due.is_set():
            return False
        self._calls += 1
        if self._calls < self._plan.call:
            return False
        if self._plan.fault.is_of_place or self._plan.fault is Fault.PAUSED_SERVER:
            self._strike_now()  # and the answer gets to who lives on
            return False
        if self._plan.is_before:
            self._strike_now()
            raise anyio.BrokenResourceError  # it does not get to the engine
        return True

    def _strike_now(self) -> None:
        """What must not come later than this very moment."""
        self._due.set()
        if self._plan.fault in (Fault.STOPPED_SERVER, Fault.PAUSED_SERVER):
            os.kill(self._victim.pid, signal.SIGSTOP)
        elif not self._plan.fault.is_of_place:
            os.kill(self._victim.pid, signal.SIGKILL)

    async def strike(self) -> bool:
        """Wait for the moment and do it; whether the act went on then."""
        if self._plan.moment.asks_engine:
            with anyio.move_on_after(WAIT_S):
                while not self._due.is_set() and not self.story.is_over:  # noqa: ASYNC110 - either of two
                    await anyio.sleep(0.002)
        else:
            await anyio.sleep(self._plan.delay_s)
        was_in_time = not self.story.is_over
        match self._plan.fault:
            case Fault.STOPPED_SERVER | Fault.PAUSED_SERVER:
                await self._stop()
            case Fault.LOCAL_EXECD:
                await self._kill_local()
            case fault if fault.is_of_container:
                await self._hit_container()
            case _:
                await self._victim.kill()
        return was_in_time

    async def _stop(self) -> None:
        os.kill(self._victim.pid, signal.SIGSTOP)
        await anyio.sleep(self._plan.pause_s)
        if self._plan.fault is Fault.STOPPED_SERVER:
            await self._victim.kill()
        else:
            os.kill(self._victim.pid, signal.SIGCONT)

    async def _kill_local(self) -> None:
        """The execd of chat A's local workspace."""
        execd = self._execd_of(self._local_place())
        os.kill(execd, signal.SIGKILL)
        await ended(execd)
        self.hit.add("here")

    def _local_place(self) -> str:
        for path in (self._ground.state.directory / "local").glob(f"wsmcp-*/{FILE}"):
            record = read_record(path)
            if record is not None and record.workspace == "here":
                return path.parent.name
        raise AssertionError("chat A has no local workspace")

    def _execd_of(self, place: str) -> int:
        """The execd, not bubblewrap around it."""
        self._ground.local_places()
        (execd,) = [pid for pid, line in self._ground.processes().items() if _is_execd(line, place)]
        return execd

    async def _hit_container(self) -> None:
        target = await self._ground.container(self.story.worked_on) if self._plan.hits_act else None
        workspace = self.story.worked_on
        if target is None or not target.pid:
            target, workspace = await self._ground.container("main"), "main"
        assert target is not None
        self.hit.add(workspace)
        strike = _strikes(target.id, target.pid)[self._plan.fault]
        try:
            await anyio.to_thread.run_sync(strike)
        except (subprocess.CalledProcessError, ProcessLookupError):
            # The act was quicker: it has ended or removed that container itself.
            assert workspace != "main"


def _strikes(container: str, pid: int) -> dict[Fault, Callable[[], object]]:
    return {
        Fault.CONTAINER_EXECD: partial(os.kill, pid, signal.SIGKILL),
        Fault.CONTAINER_KILLED: partial(docker, "kill", container),
        Fault.CONTAINER_RESTARTED: partial(docker, "restart", "--time", "0", container),
        Fault.CONTAINER_REMOVED: partial(docker, "rm", "--force", container),
    }


def _is_execd(line: str, place: str) -> bool:
    words = line.split()
    return bool(words) and Path(words[0]).name == "execd" and "serve" in words and place in words
