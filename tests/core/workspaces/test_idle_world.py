"""Idle stops on an engine and an execd: what counts as going on there, and what is asked of whom."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from support.execd_contract import run, start
from support.fake_engine import FakeEngine
from support.fake_execd import FakeExecd, open_fake_execd
from support.fake_process import now_ms
from support.our_objects import SCOPE, engine, make, place_of

from ws_mcp.core.changes import Changes
from ws_mcp.core.execd import delivery
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.places import PlaceAddress, Places, open_places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.own_acts import OwnActs
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces.idle import IdleStops
from ws_mcp.core.workspaces.idle_world import LiveIdleWorld
from ws_mcp.core.workspaces.ledger import Intent, IntentKind, Ledger
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.watch import Watch, open_watch

pytestmark = pytest.mark.usefixtures("real_io")

STOP_S = 300


@dataclass
class Ground:
    """A server with one running workspace."""

    fake: FakeEngine
    execd: FakeExecd
    state: State
    places: Places
    watch: Watch
    container: ContainerId
    ahead: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.state, self.now)
        self.world = LiveIdleWorld(
            self.fake, self.state, self.ledger, self.watch, acts=OwnActs(), places=self.places, client_of=self.client_of
        )
        self.stops = IdleStops(self.world, STOP_S, self.now)

    @property
    def place(self) -> PlaceId:
        return place_of("main", SCOPE, self.state.instance)

    @property
    def is_running(self) -> bool:
        return self.fake.containers[self.container].is_running

    def now(self) -> datetime:
        return datetime.fromtimestamp(now_ms() / 1000, UTC) + self.ahead  # the clock of the fake execd

    async def client_of(self, workspace: Workspace) -> ExecdClient:
        assert workspace.container is not None
        return await self.places.client(delivery.address_in(workspace.container, workspace.place, "execd"))

    async def client(self) -> ExecdClient:
        return await self.client_of((await self.watch.list()).of(SCOPE)[0])

    def pass_time(self, seconds: float) -> None:
        """As if so much time had passed since the server last looked."""
        self.ahead += timedelta(seconds=seconds)
        self.stops._idle = {
            place: replace(idle, since=idle.since - seconds) for place, idle in self.stops._idle.items()
        }

    async def stopped_after(self, seconds: float) -> bool:
        """Look, let time pass, look again: whether it was stopped."""
        await self.stops.look()
        self.pass_time(seconds)
        return bool(await self.stops.look())


@asynccontextmanager
async def open_ground(path: Path, *, has_fills: bool = True) -> AsyncGenerator[Ground]:
    fake = engine()
    async with open_state(path / "s") as state:
        place = place_of("main", SCOPE, state.instance)
        container = await make(fake, "main", SCOPE, state.instance)
        fake.calls.clear()
        if has_fills:
            await state.mark_filled("engine", "volume", "")
        async with open_fake_execd(place, "secret") as execd:

            def dial(_address: PlaceAddress) -> AbstractAsyncContextManager[ByteStream]:
                return execd.dial()

            def listen(_place: PlaceId, _event: Event) -> None: ...

            async with (
                open_places(dial, lambda _: "secret", "t", listen) as places,
                open_watch(fake, state.instance, Changes()) as watch,
            ):
                yield Ground(fake, execd, state, places, watch, container)


async def test_a_workspace_in_which_nothing_goes_on_is_stopped_once(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        assert not await ground.stopped_after(STOP_S - 1)
        ground.pass_time(1)
        assert [each.name for each in await ground.stops.look()] == ["main"]
        assert not ground.is_running
        ground.watch.look_soon()
        assert not await ground.stopped_after(STOP_S)


async def test_what_its_own_settings_say_counts_more_than_the_servers(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.ledger.set_idle_stop(ground.place, 0)
        assert not await ground.stopped_after(10 * STOP_S)
        await ground.ledger.set_idle_stop(ground.place, 60)
        assert await ground.stopped_after(60)


async def test_a_process_that_runs_keeps_it(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await start(await ground.client(), "sleep 1000")
        assert not await ground.stopped_after(10 * STOP_S)
        assert ground.is_running


async def test_a_process_that_ended_keeps_it_for_a_while(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.stops.look()
        ground.stops._idle = {place: replace(i, since=i.since - STOP_S) for place, i in ground.stops._idle.items()}
        await run(await ground.client(), "true")
        assert await ground.stops.look() == ()
        ground.pass_time(STOP_S)
        assert len(await ground.stops.look()) == 1


async def test_what_an_ended_process_left_behind_keeps_it(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await run(await ground.client(), "sleep 1000 &")
        assert not await ground.stopped_after(10 * STOP_S)
        assert ground.is_running


async def test_a_call_in_flight_keeps_it(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        client = await ground.client()
        ground.execd.hang("get")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.call("get", {"process": "p_1", "chat": "c"}, timeout_s=60))
            while "get" not in ground.execd.asked:
                await anyio.lowlevel.checkpoint()
            assert not await ground.stopped_after(10 * STOP_S)
            tasks.cancel_scope.cancel()
        assert await ground.stopped_after(STOP_S)


async def test_an_execd_that_does_not_answer_keeps_it(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        ground.execd.is_down = True
        assert not await ground.stopped_after(10 * STOP_S)
        assert ground.is_running


async def test_a_server_at_work_keeps_it(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground, open_state(tmp_path / "s") as other:
        async with other.lock(ground.place):
            assert not await ground.stopped_after(STOP_S)
        await ground.ledger.begin(Intent(place=ground.place, kind=IntentKind.PROVISION, objects=()))
        assert await ground.stops.look() == ()
        await ground.ledger.end(ground.place)
        assert len(await ground.stops.look()) == 1


@pytest.mark.parametrize("change", ["stopped", "removed", "paused", "replaced"])
async def test_a_container_that_is_not_as_it_was_seen_is_left_alone(tmp_path: Path, change: str) -> None:
    async with open_ground(tmp_path) as ground:
        workspace = (await ground.watch.list()).of(SCOPE)[0]
        assert await ground.world.is_as_seen(workspace)
        if change == "stopped":
            await ground.fake.stop(ground.container, 0)
        elif change == "removed":
            await ground.fake.remove(ground.container)
        elif change == "paused":
            await ground.fake.pause(ground.container)
        else:
            await ground.fake.rename(ground.container, f"{ground.place}-old")
        assert not await ground.world.is_as_seen(workspace)


async def test_where_nothing_was_ever_made_the_engine_is_not_asked(tmp_path: Path) -> None:
    async with open_ground(tmp_path, has_fills=False) as ground:
        assert not await ground.stopped_after(STOP_S)
        assert ground.fake.calls == []


async def test_two_servers_stop_it_once(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        other = IdleStops(ground.world, STOP_S, ground.now)
        await ground.stops.look()
        await other.look()
        ground.pass_time(STOP_S)
        other._idle = dict(ground.stops._idle)
        stopped: list[Workspace] = []

        async def look(stops: IdleStops) -> None:
            stopped.extend(await stops.look())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look, ground.stops)
            tasks.start_soon(look, other)
        assert [each.name for each in stopped] == ["main"]
        assert ground.fake.calls.count("stop") == 1


async def test_a_moment_that_cannot_be_keeps_it(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await run(await ground.client(), "true")
        described = next(iter(ground.execd.now.processes.values()))
        described.describe = lambda: {"started_at_ms": 1, "ended_at_ms": 10**18}  # type: ignore[method-assign]
        assert not await ground.stopped_after(10 * STOP_S)


async def test_a_long_list_is_read_to_its_end(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        client = await ground.client()
        for number in range(5):
            await run(client, "true", f"p_{number}")
        whole = ground.execd.now.list
        ground.execd.now.list = lambda request: whole({**request, "limit": 2})  # type: ignore[method-assign]
        activity = await ground.world.activity((await ground.watch.list()).of(SCOPE)[0], is_thorough=True)
        assert activity is not None
        assert activity.last_at is not None
        assert ground.execd.asked.count("list") == 3
