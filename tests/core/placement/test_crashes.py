"""A server that dies or is refused at any call, of managers or of a node, leaves rooms and workspaces in order."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from support.fake_swarm import FakeSwarm
from support.placement_ground import Cluster, a_swarm, left_over, open_server
from support.soaked import numbers
from support.workspace_ground import MAIN, SPEC
from support.workspace_values import SCOPE

from ws_mcp.core.engine.swarm_model import RoomSpec
from ws_mcp.core.errors import EngineError, StateError, WsError
from ws_mcp.core.placement import upkeep
from ws_mcp.core.state import State
from ws_mcp.core.stores.lock import LOST, Lock
from ws_mcp.core.workspaces.model import Ask, Content, Replace, Sizes, WorkspaceState

pytestmark = [
    pytest.mark.usefixtures("virtual_time"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # who dies closes nothing
]

WISH = replace(SPEC, tier=2, content=Content(files={"a.txt": "1"}, secrets={"T": "s"}), ports=(80,))
OTHER_WISH = replace(WISH, sizes=Sizes(memory_mib=1024))
ALWAYS = Ask(replace=Replace.ALWAYS)
MOST_CALLS = 300
EVERY = 7  # with `make soak` each
Script = Callable[[Cluster], Awaitable[object]]


@pytest.fixture(autouse=True)
def nothing_is_left_for_later_tests() -> Generator[None]:
    """What a server that died had open is let go of here."""
    yield
    gc.collect()


class CrashError(BaseException):
    """The server is gone: nothing of it runs any more, no clean-up either."""


def crash() -> None:
    raise CrashError


async def create(server: Cluster) -> None:
    await server.provision(WISH)


async def resize(server: Cluster) -> None:
    await server.provision(OTHER_WISH, ALWAYS)


async def remove(server: Cluster) -> None:
    workspace = await server.workspaces.find(SCOPE, MAIN)
    if workspace is not None:
        await server.workspaces.remove(workspace, keep_volume=False)


async def let_go(server: Cluster) -> None:
    workspace = await server.workspaces.find(SCOPE, MAIN)
    if workspace is not None:
        await server.workspaces.remove(workspace, keep_volume=True)


SCRIPTS: dict[str, tuple[bool, Script]] = {
    "create": (False, create),
    "resize": (True, resize),
    "remove": (True, remove),
    "keep data": (True, let_go),
}


async def prepared(swarm: FakeSwarm, path: Path, *, has_one: bool) -> None:
    async with open_server(swarm, path) as server:
        await server.listed()
        if has_one:
            await server.provision(WISH)


async def killed(swarm: FakeSwarm, path: Path, script: Script, number: int, *, is_after: bool) -> bool:
    """Run a script in a server that dies at a call; whether it came to that."""
    swarm.at_call(number, crash, is_after=is_after, is_crash=True)
    try:
        async with open_server(swarm, path) as server:
            await script(server)
    except* CrashError:
        pass
    was_killed = swarm.has_failed
    swarm.revive()
    return was_killed


async def check_in_order(swarm: FakeSwarm, server: Cluster) -> None:
    """One room for what is there, on its node and as large; no two containers; after a while no room for nothing."""
    await server.listed()
    for keeper in await server.placement.keepers.opened():
        await keeper.keeping.workspaces.repair()
    await server.placement.upkeep.look()
    await anyio.sleep(upkeep.GRACE_S + 1)
    await server.placement.upkeep.look()
    seen = await server.listed()
    containers = [name for engine in swarm.engine_of.values() for name in engine.containers.values()]
    assert len(containers) == len(seen) <= 1
    rooms = list(swarm.managers.found.values())
    for workspace in seen:
        assert workspace.state is WorkspaceState.RUNNING
        [room] = rooms
        assert (room.spec.node, room.spec.is_held) == (workspace.node, True)
        assert room.spec.memory_bytes == workspace.limits.memory_bytes
    if not seen:
        volumes = {name for engine in swarm.engine_of.values() for name in engine.volumes if name.endswith("-data")}
        assert len(rooms) == len(volumes)


@pytest.mark.parametrize(("name", "is_after"), [("create", False), *((name, True) for name in SCRIPTS)])
async def test_a_server_that_is_killed_at_any_call_leaves_all_in_order(
    tmp_path: Path, name: str, is_after: bool
) -> None:
    has_one, script = SCRIPTS[name]
    for number in numbers(MOST_CALLS, every=EVERY, turn=list(SCRIPTS).index(name)):
        swarm, path = a_swarm(2), tmp_path / str(number)
        await prepared(swarm, path, has_one=has_one)
        was_killed = await killed(swarm, path, script, number, is_after=is_after)
        async with open_server(swarm, path) as server:
            await check_in_order(swarm, server)
            made = await server.made(WISH)
            await server.workspaces.remove(made, keep_volume=False)
        assert await left_over(swarm) == [], number
        if not was_killed:
            assert number > 10, "the script makes calls"
            return
    pytest.fail("the script never ended")


@pytest.mark.parametrize("name", list(SCRIPTS))
async def test_a_call_that_fails_leaves_all_in_order(tmp_path: Path, name: str) -> None:
    has_one, script = SCRIPTS[name]
    for number in numbers(MOST_CALLS, every=EVERY, turn=list(SCRIPTS).index(name)):
        swarm, path = a_swarm(2), tmp_path / str(number)
        await prepared(swarm, path, has_one=has_one)
        async with open_server(swarm, path) as server:
            swarm.fail_call(number, EngineError("no"))
            with suppress(WsError):
                await script(server)
            was_failed = swarm.has_failed
            swarm.revive()
            await check_in_order(swarm, server)
            made = await server.made(WISH)
            await server.workspaces.remove(made, keep_volume=False)
        assert await left_over(swarm) == [], number
        if not was_failed:
            return
    pytest.fail("the script never ended")


class LosableState(State):
    """A state whose locks can be lost, as those of a database are together with the connection."""

    def __init__(self, state: State) -> None:
        super().__init__(state.directory, state._store)
        self.held: list[Lock] = []

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[Lock]:
        async with super().lock(name) as lock:
            self.held.append(lock)
            try:
                with lock.scope:
                    yield lock
            finally:
                self.held.remove(lock)
            if lock.is_lost:
                raise StateError(LOST)

    def lose_all(self) -> None:
        """The connection is gone."""
        for lock in self.held:
            lock.lose()


@pytest.mark.parametrize("name", list(SCRIPTS))
async def test_who_lost_the_lock_changes_no_room_any_more(tmp_path: Path, name: str) -> None:
    has_one, script = SCRIPTS[name]
    for number in numbers(MOST_CALLS, every=EVERY, turn=list(SCRIPTS).index(name)):
        swarm, path = a_swarm(2), tmp_path / str(number)
        await prepared(swarm, path, has_one=has_one)
        async with open_server(swarm, path, state_of=LosableState) as server:
            swarm.at_call(number, partial(lose, server, before := list[dict[str, RoomSpec]]()))
            with suppress(StateError):
                await script(server)
            assert before in ([], [specs(swarm)]), number
            if not swarm.has_failed:
                return
    pytest.fail("the script never ended")


def specs(swarm: FakeSwarm) -> dict[str, RoomSpec]:
    return {name: room.spec for name, room in swarm.managers.found.items()}


def lose(server: Cluster, before: list[dict[str, RoomSpec]]) -> None:
    assert isinstance(server.state, LosableState)
    if server.state.held:
        before.append(specs(server.swarm))
        server.state.lose_all()
