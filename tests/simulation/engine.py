"""The fake engine with faults at each call, events that are lost, doubled or late, and an execd in each container."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio
from anyio.abc import ByteStream
from simulation.faults import Door, Fault
from simulation.seeding import SERVER
from simulation.server import Server
from support.byte_pipe import said_end
from support.fake_engine import FakeEngine
from support.fake_world import DEADLINE_S

from ws_mcp.core.engine.model import Container, ContainerState, EngineEvent, ExecSpec
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineTimeoutError

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream
    from simulation.execds import Execds
    from support.fake_container import FakeContainer

LATE_S = 3.0  # the most that an event is late


class Events(StrEnum):
    """What becomes of the engine's events."""

    TOLD = "told"
    DROPPED = "dropped"
    DOUBLED = "doubled"
    LATE = "late"  # and so in another order


Between = Callable[[str, str], Awaitable[None]]
"""Given a server and its call, before the call has any effect: what somebody does in between."""


class SimEngine(FakeEngine):
    """See `ws_mcp.core.engine.port.Engine`. Whoever is no server (a test) has no faults."""

    def __init__(self, chance: random.Random, execds: Execds) -> None:
        super().__init__(on_exec=self._exec)
        self.events = Events.TOLD
        self.call_s = 0.0  # the longest that a call takes, each way
        self.untold_at = -math.inf  # when an event was dropped or late
        self.between: Between | None = None
        self._chance = chance
        self._execds = execds

    @property
    def watchers(self) -> int:
        """How many listen to its events."""
        return len(self._watchers)

    @asynccontextmanager
    async def _called(self, call: str) -> AsyncGenerator[None]:
        server = SERVER.get()
        if not isinstance(server, Server):
            async with super()._called(call):
                yield
            return
        server.check_alive()
        if self.between is not None:
            await self.between(server.name, call)
            server.check_alive()
        fault = server.meets(Door.ENGINE, call)
        await self._pass()
        await self._before(fault, call)
        async with super()._called(call):
            server.check_alive()
            yield
        await self._after(fault, call)
        await self._pass()
        server.check_alive()

    async def _pass(self) -> None:
        """Let others come between."""
        if self.call_s:
            await anyio.sleep(self._chance.uniform(0, self.call_s))

    async def _before(self, fault: Fault, call: str) -> None:
        if fault is Fault.FAIL:
            error = EngineConflictError if self._chance.random() < 0.3 else EngineError
            raise error(f"the engine refused {call} (from the simulation)")
        if fault is Fault.HANG:
            await anyio.sleep(DEADLINE_S)
            raise EngineTimeoutError(f"no answer to {call} in time (from the simulation)")

    async def _after(self, fault: Fault, call: str) -> None:
        if fault is Fault.LOSE:
            # Also what a transport that sends twice makes of it: the second time the name is taken.
            error = EngineConflictError if self._chance.random() < 0.3 else EngineError
            raise error(f"the answer to {call} was lost (from the simulation)")
        if fault is Fault.LATE:
            await anyio.sleep(DEADLINE_S)
            raise EngineTimeoutError(f"no answer to {call} in time (from the simulation)")
        if fault is Fault.CRASH_AFTER:
            server = SERVER.get()
            assert isinstance(server, Server)
            server.crash()

    def _exec(self, container: Container, spec: ExecSpec) -> ByteStream:
        if spec.argv[1:2] == ("attach",):
            return self._execds.connect(container)
        return said_end(b"")

    async def _end(self, container: FakeContainer, exit_code: int) -> None:
        await super()._end(container, exit_code)
        self._execds.stopped(container.id)

    def _turn(self, container: str, action: str, state: ContainerState) -> None:
        super()._turn(container, action, state)  # pyright: ignore[reportArgumentType] - the id, as the door has it
        self._execds.paused(container, is_paused=state is ContainerState.PAUSED)

    def _tell(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        if self.events in (Events.DROPPED, Events.LATE):
            self.untold_at = anyio.current_time()
        if self.events is Events.DROPPED:
            return
        event = EngineEvent(kind=kind, action=action, id=name, labels=dict(labels))
        for watcher in self._watchers:
            for _ in range(2 if self.events is Events.DOUBLED else 1):
                if self.events is Events.LATE:
                    self._execds.tasks.start_soon(self._tell_late, watcher, event)
                else:
                    _send(watcher, event)

    async def _tell_late(self, watcher: MemoryObjectSendStream[EngineEvent], event: EngineEvent) -> None:
        await anyio.sleep(self._chance.uniform(0, LATE_S))
        _send(watcher, event)


def _send(watcher: MemoryObjectSendStream[EngineEvent], event: EngineEvent) -> None:
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        watcher.send_nowait(event)
