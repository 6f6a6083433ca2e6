"""Workspaces that are stopped when nothing goes on in them, and all that keeps one from being stopped."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product

import anyio
import anyio.lowlevel
import pytest

from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.ids import ContainerId, PlaceId, WorkspaceName
from ws_mcp.core.repeat import repeat
from ws_mcp.core.workspaces.idle import LOOK_S, IdleStops
from ws_mcp.core.workspaces.idle_plan import Activity, Idle, idle_of, is_due
from ws_mcp.core.workspaces.model import Workspace, WorkspaceKind, WorkspaceState

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STOP_S = 300


@dataclass
class Inside:
    """What goes on in one workspace."""

    workspace: Workspace
    boot: str = "b1"
    running: int = 0
    last_at: datetime | None = None
    answers: bool = True
    is_busy: bool = False
    is_locked: bool = False
    is_as_seen: bool = True
    is_stopped: bool = False


@dataclass
class FakeWorld:
    """See `IdleWorld`: workspaces by name, in memory."""

    inside: dict[str, Inside] = field(default_factory=dict[str, Inside])
    stops: dict[PlaceId, int] = field(default_factory=dict[PlaceId, int])
    looks: int = 0
    held: list[PlaceId] = field(default_factory=list[PlaceId])
    engine_answers: bool = True

    def add(self, name: str = "main", state: WorkspaceState = WorkspaceState.RUNNING) -> Inside:
        workspace = Workspace(
            name=WorkspaceName(name),
            kind=WorkspaceKind.CONTAINER,
            place=PlaceId(f"w-{name}"),
            state=state,
            image="img:1",
            tier=2,
            created_at=BEGAN,
            container=ContainerId(name),
        )
        self.inside[name] = made = Inside(workspace)
        return made

    async def idle_stops(self) -> Mapping[PlaceId, int]:
        await anyio.lowlevel.checkpoint()
        return dict(self.stops)

    async def workspaces(self) -> tuple[Workspace, ...]:
        self.looks += 1
        await anyio.lowlevel.checkpoint()
        if not self.engine_answers:
            raise EngineUnavailableError("no engine answers")
        return tuple(each.workspace for each in self.inside.values() if not each.is_stopped)

    async def activity(self, workspace: Workspace, *, is_thorough: bool) -> Activity | None:
        await anyio.lowlevel.checkpoint()
        found = self.inside[workspace.name]
        last_at = found.last_at if is_thorough else None
        return Activity(boot=found.boot, running=found.running, last_at=last_at) if found.answers else None

    def is_busy(self, place: PlaceId) -> bool:
        return any(each.is_busy for each in self.inside.values() if each.workspace.place == place)

    @asynccontextmanager
    async def lock_if_free(self, place: PlaceId) -> AsyncGenerator[bool]:
        is_free = not any(each.is_locked for each in self.inside.values() if each.workspace.place == place)
        if is_free:
            self.held.append(place)
        yield is_free
        if is_free:
            self.held.remove(place)

    async def is_as_seen(self, workspace: Workspace) -> bool:
        await anyio.lowlevel.checkpoint()
        return self.inside[workspace.name].is_as_seen

    async def stop(self, workspace: Workspace) -> None:
        await anyio.lowlevel.checkpoint()
        assert workspace.place in self.held
        self.inside[workspace.name].is_stopped = True


def wall() -> datetime:
    """The wall clock, going with the virtual one."""
    return BEGAN + timedelta(seconds=anyio.current_time())


async def watched(world: FakeWorld, seconds: float, default_s: int = STOP_S) -> None:
    """Let a server watch for so long."""
    stops = IdleStops(world, default_s, wall)
    with anyio.move_on_after(seconds):
        await repeat("idle stops", LOOK_S, stops.look)


async def test_a_workspace_in_which_nothing_goes_on_is_stopped_after_its_time(virtual_time: None) -> None:
    world = FakeWorld()
    main = world.add()
    stops = IdleStops(world, STOP_S, wall)
    assert await stops.look() == ()
    await anyio.sleep(STOP_S - 1)
    assert await stops.look() == ()
    await anyio.sleep(1)
    assert await stops.look() == (main.workspace,)
    assert main.is_stopped
    assert world.held == []


async def test_one_that_is_to_run_on_runs_on(virtual_time: None) -> None:
    world = FakeWorld()
    kept, short = world.add("kept"), world.add("short")
    world.stops = {kept.workspace.place: 0, short.workspace.place: 60}
    await watched(world, 90)
    assert (kept.is_stopped, short.is_stopped) == (False, True)
    await watched(world, 10_000)
    assert not kept.is_stopped


async def test_where_nobody_wants_it_nothing_is_asked(virtual_time: None) -> None:
    world = FakeWorld()
    main = world.add()
    world.stops = {main.workspace.place: 0}
    await watched(world, 10_000, default_s=0)
    assert (world.looks, main.is_stopped) == (0, False)


@pytest.mark.parametrize("reason", ["running", "is_busy", "is_locked", "answers", "is_as_seen"])
async def test_each_of_these_keeps_it_running(virtual_time: None, reason: str) -> None:
    world = FakeWorld()
    main = world.add()
    setattr(main, reason, {"running": 1, "answers": False, "is_as_seen": False}.get(reason, True))
    await watched(world, 10 * STOP_S)
    assert not main.is_stopped
    setattr(main, reason, {"running": 0, "answers": True, "is_as_seen": True}.get(reason, False))
    await watched(world, 2 * STOP_S)
    assert main.is_stopped


async def test_a_process_that_came_and_went_between_two_looks_counts(virtual_time: None) -> None:
    world = FakeWorld()
    main = world.add()
    stops = IdleStops(world, STOP_S, wall)
    await stops.look()
    await anyio.sleep(STOP_S - 10)
    main.last_at = wall()
    await anyio.sleep(10)
    assert await stops.look() == ()
    await anyio.sleep(STOP_S - 11)
    assert await stops.look() == ()
    await anyio.sleep(1)
    assert await stops.look() == (main.workspace,)


async def test_a_clock_of_the_past_or_the_future_stops_nothing_early_or_late(virtual_time: None) -> None:
    world = FakeWorld()
    behind, ahead = world.add("behind"), world.add("ahead")
    behind.last_at, ahead.last_at = BEGAN - timedelta(days=1), BEGAN + timedelta(days=1)
    await watched(world, STOP_S - 1)
    assert (behind.is_stopped, ahead.is_stopped) == (False, False)
    await watched(world, STOP_S + LOOK_S)
    assert (behind.is_stopped, ahead.is_stopped) == (True, True)


async def test_a_restart_of_the_workspace_begins_its_time_anew(virtual_time: None) -> None:
    world = FakeWorld()
    main = world.add()
    stops = IdleStops(world, STOP_S, wall)
    await stops.look()
    await anyio.sleep(STOP_S - 1)
    main.boot = "b2"
    await stops.look()
    await anyio.sleep(STOP_S - 1)
    assert await stops.look() == ()
    await anyio.sleep(1)
    assert await stops.look() == (main.workspace,)


async def test_what_begins_under_the_lock_keeps_it_running(virtual_time: None) -> None:
    class Late(FakeWorld):
        async def is_as_seen(self, workspace: Workspace) -> bool:
            self.inside[workspace.name].running = 1
            return True

    world = Late()
    main = world.add()
    await watched(world, 3 * STOP_S)
    assert not main.is_stopped


async def test_who_says_keep_alive_at_the_last_moment_is_heard(virtual_time: None) -> None:
    class Late(FakeWorld):
        async def is_as_seen(self, workspace: Workspace) -> bool:
            self.stops[workspace.place] = 0
            return True

    world = Late()
    main = world.add()
    await watched(world, 3 * STOP_S)
    assert not main.is_stopped


async def test_an_engine_that_is_away_for_a_while_stops_and_forgets_nothing(virtual_time: None) -> None:
    world = FakeWorld()
    main = world.add()
    stops = IdleStops(world, STOP_S, wall)
    await stops.look()
    world.engine_answers = False
    await anyio.sleep(STOP_S)
    with pytest.raises(EngineUnavailableError):
        await stops.look()
    world.engine_answers = True
    assert await stops.look() == (main.workspace,)


async def test_stopped_workspaces_are_not_asked() -> None:
    world = FakeWorld()
    world.add(state=WorkspaceState.STOPPED).answers = True
    stops = IdleStops(world, 1, wall)
    assert await stops.look() == ()
    assert stops._idle == {}


def test_idleness_needs_every_sign_of_it() -> None:
    """All combinations: idle only where an execd answers, nothing runs, and no call is in flight."""
    activities = (None, Activity(boot="b", running=0), Activity(boot="b", running=1))
    befores = (None, Idle(boot="b", since=0.0), Idle(boot="other", since=0.0))
    for activity, is_busy, before in product(activities, (False, True), befores):
        found = idle_of(before, activity, is_busy=is_busy, now=100.0, wall=BEGAN)
        is_idle = activity is not None and not activity.running and not is_busy
        assert (found is not None) == is_idle
        if found is not None:
            assert found.since == (0.0 if before is not None and before.boot == "b" else 100.0)


@pytest.mark.parametrize(
    ("last_at", "since"),
    [
        (BEGAN, 40.0),  # as it was when it was first seen
        (BEGAN + timedelta(seconds=70), 70.0),
        (BEGAN + timedelta(seconds=20), 100.0),  # another moment than before, and yet from before that
        (BEGAN + timedelta(days=3652), 100.0),
        (BEGAN - timedelta(days=3652), 100.0),
    ],
)
def test_of_clocks_that_disagree_only_what_can_be_is_believed(last_at: datetime, since: float) -> None:
    before = Idle(boot="b", since=40.0, last_at=BEGAN)
    activity = Activity(boot="b", running=0, last_at=last_at)
    wall = BEGAN + timedelta(seconds=100)
    assert idle_of(before, activity, is_busy=False, now=100.0, wall=wall) == Idle(
        boot="b", since=since, last_at=last_at
    )


@pytest.mark.parametrize(
    ("idle", "idle_stop_s", "expected"),
    [
        (None, 1, False),
        (Idle(boot="b", since=0), 0, False),
        (Idle(boot="b", since=0), 100, True),
        (Idle(boot="b", since=0), 101, False),
    ],
)
def test_it_is_due_after_its_time_and_never_without_one(idle: Idle | None, idle_stop_s: int, expected: bool) -> None:
    assert is_due(idle, idle_stop_s, 100.0) is expected
