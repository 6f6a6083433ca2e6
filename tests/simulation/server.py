"""One server of the simulation: the real core, until it is stopped or crashes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import trio
from simulation.faults import Door, Fault
from simulation.seeding import SERVER, CrashError, first_of

from ws_mcp.core.errors import StateError, WsError
from ws_mcp.core.runtime import Core, open_core

if TYPE_CHECKING:
    from simulation.world import World

T = TypeVar("T")

FULL = "the state directory cannot be used now (database or disk is full); see `ws-mcp doctor`"


class Server:
    """A server that can die between any two steps. `core` is None while it is not up."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.core: Core | None = None
        self.is_dead = False
        self.up = anyio.Event()
        self.over = anyio.Event()
        self.failure: WsError | None = None
        self.task: trio.lowlevel.Task | None = None
        self._world = world
        self._stop = anyio.Event()
        self._scopes: dict[int, anyio.CancelScope] = {}

    async def run(self) -> None:
        """Serve until `stop` or `crash`."""
        SERVER.set(self)
        self.task = trio.lowlevel.current_task()
        with anyio.CancelScope() as scope:
            self._scopes[0] = scope
            try:
                async with open_core(self._world.choices, self._world.engine, self._world.now) as core:
                    self.core = core
                    self.up.set()
                    await self._stop.wait()
                    self.core = None
                    await self._end_calls()
            except WsError as error:
                self.failure = error
            except BaseExceptionGroup as group:
                failures, others = group.split(WsError)
                self.failure = failures and cast("WsError", first_of(failures))
                if others is not None:
                    _raise_others(others)
            except CrashError:
                pass
        self.core = None
        self.up.set()
        self.over.set()

    async def call(self, number: int, work: Callable[[Core], Awaitable[T]]) -> T | WsError | None:
        """The answer to a call, or its error; None if the server was down, or died meanwhile."""
        core = self.core
        if core is None:
            return None
        before = SERVER.set(self)
        with anyio.CancelScope() as scope:
            self._scopes[number] = scope
            try:
                return await work(core)
            except WsError as error:
                return error
            except BaseException as error:  # noqa: BLE001 - also what a dead server raises
                _raise_others(error)
            finally:
                self._scopes.pop(number, None)
                SERVER.reset(before)
        return None

    async def _end_calls(self) -> None:
        """As the edge does before it leaves the core."""
        while len(self._scopes) > 1:
            for number, scope in list(self._scopes.items()):
                if number:
                    scope.cancel()
            await anyio.sleep(0.01)

    def stop(self) -> None:
        """End it in order."""
        self._stop.set()

    def kill(self) -> None:
        """It is gone from now on."""
        if not self.is_dead:
            self._world.say(f"{self.name} dies")
            self.is_dead, self.core = True, None
            for scope in list(self._scopes.values()):
                scope.cancel()

    def crash(self) -> None:
        """The same, from inside."""
        self.kill()
        raise CrashError

    def check_alive(self) -> None:
        if self.is_dead:
            raise CrashError

    def meets(self, door: Door, call: str, *, dies_now: bool = True) -> Fault:
        """What becomes of a call."""
        fault = self._world.injector.draw(door, call)
        if fault is not Fault.NONE:
            self._world.say(f"{self.name}: {fault} at {door} {call}")
        if fault is Fault.CRASH and dies_now:
            self.crash()
        return fault

    def before_state(self) -> None:
        self._fault = self.meets(Door.STATE, "transaction")
        if self._fault is Fault.FAIL:
            raise StateError(FULL)

    def after_state(self) -> None:
        if self._fault is Fault.CRASH_AFTER:
            self.crash()


def _raise_others(error: BaseException) -> None:
    """Raise what is more than the end of this server."""
    if isinstance(error, CrashError):
        return
    if isinstance(error, BaseExceptionGroup):
        _, others = error.split(CrashError)
        if others is None:
            return
        raise others
    raise error
