"""The real server over a core whose doors hang when a test says so: the engine, the execds, a lock, the state."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
from mcp import Client
from simulation.engine import SimEngine
from simulation.execds import Execds
from simulation.world import IMAGE

from support.edge_client import open_client
from ws_mcp.core.awaited import ENGINE, awaiting
from ws_mcp.core.choices import Choices
from ws_mcp.core.errors import EngineTimeoutError
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.runtime import Core, open_core
from ws_mcp.core.state import open_state
from ws_mcp.core.stores.port import Sql
from ws_mcp.core.stores.sqlite import SqliteStore
from ws_mcp.core.workspaces.rules import WorkspaceRules

T = TypeVar("T")

ACTS = ("create", "start", "stop", "remove", "rename", "put_archive")


class Hang:
    """Whether a door hangs now."""

    def __init__(self) -> None:
        self._over = anyio.Event()
        self._over.set()

    def begin(self) -> None:
        self._over = anyio.Event()

    def end(self) -> None:
        self._over.set()

    @property
    def is_on(self) -> bool:
        return not self._over.is_set()

    async def wait(self, *, is_stubborn: bool) -> None:
        """Until it is over; `is_stubborn`: who is cancelled waits on, as one does for a worker thread."""
        with anyio.CancelScope(shield=is_stubborn):
            await self._over.wait()


class HungEngine(SimEngine):
    """An engine that takes calls and answers none while it hangs. It has no deadline: worse than the real door."""

    def __init__(self, execds: Execds) -> None:
        super().__init__(random.Random(0), execds)
        self.hang = Hang()

    @asynccontextmanager
    async def _called(self, call: str) -> AsyncGenerator[None]:
        if self.hang.is_on:
            with awaiting(ENGINE):  # as the real door says it
                await self.hang.wait(is_stubborn=call in ACTS)
            raise EngineTimeoutError("the engine at memory:// did not answer in time")
        async with super()._called(call):
            yield


class HungStore(SqliteStore):
    """A store on a disk that hangs."""

    hang: Hang

    async def run(self, work: Callable[[Sql], T]) -> T:
        await self.hang.wait(is_stubborn=True)
        return await super().run(work)


class HungGround:
    """One server, its client, and what hangs."""

    def __init__(self, core: Core, client: Client, engine: HungEngine, execds: Execds) -> None:
        self.core, self.client, self.engine = core, client, engine
        self.execds = execds
        store = core.state._store  # pyright: ignore[reportPrivateUsage]  # a disk has no door of ours
        assert isinstance(store, SqliteStore)
        store.__class__ = HungStore
        assert isinstance(store, HungStore)
        self.store, store.hang = store, Hang()

    @property
    def place(self) -> PlaceId:
        """The only workspace's."""
        (found,) = self.engine.containers.values()
        return PlaceId(found.spec.name)

    @asynccontextmanager
    async def hanging(self, what: str) -> AsyncGenerator[None]:
        """The time in which it hangs."""
        async with AsyncExitStack() as stack:
            execds = [execd for each in self.engine.containers if (execd := self.execds.of(each)) is not None]
            if what == "engine":
                self.engine.hang.begin()
                stack.callback(self.engine.hang.end)
            elif what == "execd":
                for execd in execds:
                    execd.freeze()
                    stack.callback(execd.thaw)
            elif what == "lock":
                other = await stack.enter_async_context(open_state(self.core.state.directory))
                await stack.enter_async_context(other.lock(self.place))
            else:
                self.store.hang.begin()
                stack.callback(self.store.hang.end)
            yield


@asynccontextmanager
async def open_hung(path: Path) -> AsyncGenerator[HungGround]:
    """A server in virtual time, without workspaces."""
    choices = Choices(state=path / "state", workspaces=WorkspaceRules(default_image="img:1"))
    async with anyio.create_task_group() as tasks:
        execds = Execds(tasks)
        engine = HungEngine(execds)
        engine.add_image(IMAGE)
        async with open_core(choices, engine) as core, open_client(core) as client:  # pyright: ignore[reportArgumentType]
            yield HungGround(core, client, engine, execds)
        tasks.cancel_scope.cancel()
