"""The soft quota of what a workspace's data may take: what is paused, what goes on, and what nobody touches."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from support.fake_engine import FakeEngine
from support.fake_files import Entry
from support.memory_journal import MemoryJournal
from support.workspace_ground import SPEC, FakeInside, Service, an_engine
from support.workspace_values import SCOPE

from ws_mcp.core.audit.own import written_down
from ws_mcp.core.changes import Changes
from ws_mcp.core.errors import ConflictError, EngineUnavailableError, StateError
from ws_mcp.core.ids import ContainerId, PlaceId, WorkspaceName
from ws_mcp.core.own_acts import OwnActs
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces.disk import DiskQuota
from ws_mcp.core.workspaces.disk_plan import GRACE_S, MIB, DiskHold, DiskStep, let_go, plan_disk
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Ask, Sizes, Workspace, WorkspaceKind, WorkspaceState
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.service import ContainerWorkspaces
from ws_mcp.core.workspaces.watch import Watch, open_watch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWN = ContainerId("own")
HOLD = DiskHold(container=OWN, size_bytes=3 * MIB, quota_mib=2)
OTHERS = replace(HOLD, container=ContainerId("other"))
GOES_ON = let_go(HOLD, NOW - timedelta(seconds=1))
GRACE_IS_OVER = let_go(HOLD, NOW - timedelta(seconds=GRACE_S))
RUNNING, PAUSED, STOPPED = WorkspaceState.RUNNING, WorkspaceState.PAUSED, WorkspaceState.STOPPED


def workspace(state: WorkspaceState) -> Workspace:
    return Workspace(
        name=WorkspaceName("main"),
        kind=WorkspaceKind.CONTAINER,
        place=PlaceId("w"),
        state=state,
        image="img:1",
        tier=2,
        created_at=NOW,
        container=OWN,
    )


@pytest.mark.parametrize(
    ("state", "hold", "mib", "step"),
    [
        (RUNNING, None, 2, DiskStep.NOTHING),
        (RUNNING, None, 3, DiskStep.PAUSE),
        (RUNNING, OTHERS, 3, DiskStep.PAUSE),
        (RUNNING, HOLD, 3, DiskStep.PAUSE),
        (RUNNING, GOES_ON, 9, DiskStep.NOTHING),
        (RUNNING, GRACE_IS_OVER, 3, DiskStep.PAUSE),
        (RUNNING, GRACE_IS_OVER, 2, DiskStep.FORGET),
        (RUNNING, OTHERS, 2, DiskStep.FORGET),
        (PAUSED, HOLD, 3, DiskStep.NOTHING),
        (PAUSED, HOLD, 2, DiskStep.GO_ON),
        (PAUSED, None, 2, DiskStep.NOTHING),
        (PAUSED, None, 9, DiskStep.NOTHING),
        (PAUSED, OTHERS, 2, DiskStep.FORGET),
        (STOPPED, None, 9, DiskStep.NOTHING),
        (STOPPED, HOLD, 2, DiskStep.FORGET),
        (WorkspaceState.UNKNOWN, HOLD, 2, DiskStep.NOTHING),
        (PAUSED, HOLD, None, DiskStep.NOTHING),
        (RUNNING, None, None, DiskStep.NOTHING),
    ],
)
def test_what_the_size_asks_for(state: WorkspaceState, hold: DiskHold | None, mib: int | None, step: DiskStep) -> None:
    size = None if mib is None else mib * MIB
    assert plan_disk(workspace(state), hold, size, 2, NOW).step is step


@pytest.mark.parametrize(("mib", "is_final"), [(2.5, False), (3, False), (3.1, True)])
def test_who_grew_while_there_was_time_to_delete_gets_no_more_time(mib: float, is_final: bool) -> None:
    again = plan_disk(workspace(RUNNING), GRACE_IS_OVER, int(mib * MIB), 2, NOW).hold
    assert again is not None
    assert again.is_final is is_final
    assert ("call provision_workspace to let it go on for 120 s" in again.reason) is not is_final
    assert again.reason.startswith(f"its data takes {'4' if is_final else '3'} MiB of 2")


@dataclass
class Ground:
    """A server with a quota of 2 MiB, and a workspace."""

    fake: FakeEngine
    service: Service
    watch: Watch
    quota: DiskQuota
    journal: MemoryJournal
    ledger: Ledger
    clock: list[datetime]

    async def takes(self, mib: int) -> None:
        """Its data takes so much; the quota looks, and the list afterwards."""
        (volume,) = (found for name, found in self.fake.volumes.items() if "execd" not in name)
        volume.files.entries["big"] = Entry(content=bytes(mib * MIB))
        await self.look()

    async def look(self) -> None:
        self.watch.look_soon()
        await self.quota.look()
        self.watch.look_soon()

    async def seen(self) -> Workspace:
        (found,) = await self.service.workspaces.list(SCOPE)
        return found

    @property
    def acts(self) -> list[tuple[str, str, str]]:
        return self.journal.outcomes


@asynccontextmanager
async def open_ground(path: Path, quota_mib: int = 2) -> AsyncGenerator[Ground]:
    fake, clock, acts = an_engine(), [NOW], OwnActs()
    journal = MemoryJournal()
    acts.begin(partial(written_down, journal))

    def now() -> datetime:
        return clock[0]

    async with open_state(path / "s") as state, open_watch(fake, state.instance, Changes()) as watch:
        inside = FakeInside()
        service = Service(ContainerWorkspaces(fake, state, lambda _: WorkspaceRules(), inside, now), inside)
        await service.made()
        await state.mark_filled("engine", "volume", "")
        ledger = Ledger(state, now)
        quota = DiskQuota(fake, state, ledger, watch, acts=acts, quota_mib=quota_mib, now=now)
        yield Ground(fake, service, watch, quota, journal, ledger, clock)


async def test_a_workspace_whose_data_is_too_big_is_paused_once_and_says_why(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.takes(2)
        assert (await ground.seen()).state is RUNNING
        await ground.takes(3)
        seen = await ground.seen()
        assert (seen.state, seen.held) == (PAUSED, HOLD.reason)
        assert HOLD.reason in seen.notes
        assert seen.obstacle == f"it is paused: {HOLD.reason}"
        await ground.look()
        assert ground.acts == [("pause_workspace", "ok", "")]
        assert ground.journal.lines[0] == ("pause_workspace", "", "volume_mib")


async def test_it_goes_on_for_a_while_when_asked_and_is_paused_again(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.takes(3)
        foretold = await ground.service.provision(ask=Ask(is_dry_run=True))
        assert (foretold.change, (await ground.seen()).state) == ("resumed", PAUSED)
        assert (await ground.service.provision()).change == "resumed"
        ground.clock[0] += timedelta(seconds=GRACE_S - 1)
        await ground.takes(4)
        assert (await ground.seen()).state is RUNNING
        ground.clock[0] += timedelta(seconds=1)
        await ground.look()
        assert (await ground.seen()).state is PAUSED
        with pytest.raises(ConflictError, match="more than when it was last let go on: let the operator raise"):
            await ground.service.provision()
        await ground.takes(1)
        assert ((await ground.seen()).state, (await ground.seen()).held) == (RUNNING, "")
        assert ground.acts[-1] == ("unpause_workspace", "ok", "")
        await ground.takes(3)
        assert (await ground.service.provision()).change == "resumed"


async def test_what_would_change_it_waits_until_it_goes_on(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.takes(3)
        with pytest.raises(ConflictError, match="let it go on without changes first"):
            await ground.service.provision(replace(SPEC, sizes=Sizes(memory_mib=256)))
        assert (await ground.seen()).state is PAUSED


async def test_what_somebody_else_paused_stays_paused(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.fake.pause(only(ground))
        await ground.takes(1)
        await ground.takes(3)
        assert ((await ground.seen()).state, (await ground.seen()).held, ground.acts) == (PAUSED, "", [])
        with pytest.raises(ConflictError, match="is paused on the engine; unpause its container first"):
            await ground.service.provision()


async def test_a_removed_workspace_leaves_no_note_for_the_next_of_its_name(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.takes(3)
        await ground.service.workspaces.remove(await ground.seen(), keep_volume=False)
        await ground.service.made()
        await ground.fake.pause(only(ground))
        assert (await ground.seen()).held == ""


async def test_nothing_is_paused_that_cannot_be_written_down(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        ground.journal.is_full = True
        with pytest.raises(StateError):
            await ground.takes(3)
        assert (await ground.seen()).state is RUNNING


async def test_a_workspace_that_somebody_works_on_is_left_until_the_next_look(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        async with ground.quota._state.lock_if_free((await ground.seen()).place) as is_held:
            assert is_held
            await ground.takes(3)
            assert (await ground.seen()).state is RUNNING
        await ground.look()
        assert (await ground.seen()).state is PAUSED


async def test_an_engine_that_refuses_is_asked_again(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        ground.fake.fail_next("pause", EngineUnavailableError("no engine answers"))
        await ground.takes(3)
        assert ((await ground.seen()).state, ground.acts) == (
            RUNNING,
            [("pause_workspace", "failed", "EngineUnavailableError")],
        )
        await ground.look()
        assert (await ground.seen()).state is PAUSED


async def test_without_a_quota_nobody_asks_for_sizes(tmp_path: Path) -> None:
    async with open_ground(tmp_path, quota_mib=0) as ground:
        await ground.takes(3)
        assert "volume_usage" not in ground.fake.calls
        assert (await ground.seen()).state is RUNNING


def only(ground: Ground) -> ContainerId:
    (container,) = (each for each, found in ground.fake.containers.items() if found.is_running)
    return container
