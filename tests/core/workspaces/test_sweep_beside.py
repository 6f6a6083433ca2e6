"""Sweeping beside servers at work: what they make, swap and remove is never taken from under their hands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_engine import FakeEngine
from support.workspace_ground import MAIN, SPEC, Service, an_engine, left_over, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.clock import utc_now
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Ask, Content, Replace, WorkspaceState
from ws_mcp.core.workspaces.sweeper import Sweeper, SweepWish, Swept

pytestmark = pytest.mark.usefixtures("real_io")

WISH = replace(SPEC, content=Content(files={"a.txt": "1"}, secrets={"T": "s"}), ports=(80,), network="team")
CHANGED = replace(WISH, content=Content(files={"a.txt": "2"}))
ALWAYS = Ask(replace=Replace.ALWAYS)
EVERYTHING = SweepWish(is_dry_run=False, has_data=True, older_than_s=-1e9)  # the fake engine's clock is another one
MOST_CALLS = 200


class Interrupted(FakeEngine):
    """Lets something happen before its nth call."""

    def __init__(self) -> None:
        super().__init__()
        self.images = an_engine().images
        self.count = self.at = 0
        self.hook: Callable[[], Awaitable[object]] | None = None

    @asynccontextmanager
    async def _called(self, call: str) -> AsyncGenerator[None]:
        self.count += 1
        hook = self.hook
        if hook is not None and self.count == self.at:
            self.hook = None
            await hook()
        async with super()._called(call):
            yield


@asynccontextmanager
async def open_sweeper(fake: FakeEngine, path: Path) -> AsyncGenerator[Sweeper]:
    """Another server on the same state directory."""
    async with open_state(path / "state") as state:
        await KnownChats(state, utc_now).remember(
            ChatRecord(chat=SCOPE.chat, principal=SCOPE.principal, label="", created_at="")
        )
        yield Sweeper(fake, state, Ledger(state, utc_now), utc_now)


async def create(service: Service) -> None:
    await service.provision(WISH)


async def recreate(service: Service) -> None:
    await service.provision(CHANGED, ALWAYS)


async def start(service: Service) -> None:
    workspace = await service.workspaces.find(SCOPE, MAIN)
    assert workspace is not None
    await service.workspaces.stop(workspace)
    await service.provision(WISH)


SCRIPTS = {"create": (False, create), "recreate": (True, recreate), "start": (True, start)}


@pytest.mark.parametrize("name", list(SCRIPTS))
async def test_a_sweep_at_any_call_of_a_provision_takes_nothing_from_it(tmp_path: Path, name: str) -> None:
    has_one, script = SCRIPTS[name]
    for number in range(1, MOST_CALLS):
        fake, path = Interrupted(), tmp_path / str(number)
        swept: list[Swept] = []
        async with open_service(fake, path) as service, open_sweeper(fake, path) as sweeper:
            if has_one:
                await service.provision(WISH)

            async def sweep(sweeper: Sweeper = sweeper, swept: list[Swept] = swept) -> None:
                swept.append(await sweeper.sweep(EVERYTHING))

            fake.hook, fake.at = sweep, fake.count + number
            await script(service)
            fake.hook = None
            found = await service.workspaces.find(SCOPE, MAIN)
            assert found is not None
            assert found.state is WorkspaceState.RUNNING
            before = await left_over(fake)
            again = await service.provision(WISH if name != "recreate" else CHANGED)
            assert (again.change, again.reasons) == ("none", ())
            assert await left_over(fake) == before
        if not swept:
            assert number > 3, "the script makes calls"
            return
        assert swept[0].removed == ()
    pytest.fail("the script never ended")


async def test_a_shared_network_that_nobody_was_in_is_not_taken_from_who_is_about_to_join_it(tmp_path: Path) -> None:
    for number in range(1, MOST_CALLS):
        fake, path = Interrupted(), tmp_path / str(number)
        swept: list[Swept] = []
        async with open_service(fake, path) as service, open_sweeper(fake, path) as sweeper:
            former = await service.made(replace(SPEC, name=WorkspaceName("former"), network="team"))
            assert former.container is not None
            await fake.remove(former.container)

            async def sweep(sweeper: Sweeper = sweeper, swept: list[Swept] = swept) -> None:
                swept.append(await sweeper.sweep(EVERYTHING))

            fake.hook, fake.at = sweep, fake.count + number
            made = await service.made(WISH)
            assert made.state is WorkspaceState.RUNNING
            fake.hook = None
            assert len(await fake.list_networks({})) == 1
        if not swept:
            return
    pytest.fail("the script never ended")


async def test_a_whole_workspace_keeps_all_and_one_whose_container_was_removed_by_hand_leaves_only_its_data(
    tmp_path: Path,
) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service, open_sweeper(fake, tmp_path) as sweeper:
        made = await service.made(WISH)
        other = await service.made(replace(SPEC, name=WorkspaceName("other"), network="team"))
        whole = await left_over(fake)
        assert (await sweeper.sweep(EVERYTHING)).due == ()
        assert made.container is not None
        await fake.remove(made.container)
        swept = await sweeper.sweep(replace(EVERYTHING, has_data=False))
        # The other one is in the shared network.
        assert [each.why for each in swept.removed] == ["its workspace has no container"]
        assert other.container is not None
        await fake.remove(other.container)
        await sweeper.sweep(replace(EVERYTHING, has_data=False))
        assert await left_over(fake) == sorted([made.volume, other.volume])
        assert {made.volume, other.volume} < set(whole)
        again = await service.provision(WISH)
        assert again.change == "created"
