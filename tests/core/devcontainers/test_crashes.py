"""A server may die at any moment of a recreate: the next one never takes half a container for a whole one."""

from __future__ import annotations

import anyio
import pytest
from support.kept_ground import SHOP, DevGround, only_one, recreated

from ws_mcp.core.devcontainers.ground import lock_of
from ws_mcp.core.devcontainers.listing import CUT_SHORT
from ws_mcp.core.devcontainers.model import Freshness, Phase, RecreateAsk, Status

pytestmark = pytest.mark.anyio

FORCE = RecreateAsk(force=True)


class ServerDied(Exception):  # noqa: N818 - no error of the product
    """Raised in place of everything that a dead server would have done next."""


class Bomb:
    """Kills the server at its `number`th step, and whatever it does then."""

    def __init__(self, ground: DevGround, number: int) -> None:
        self.left = number
        self.ground = ground
        ground.records.on_write = ground.cli.on_phase = self._step

    @property
    def is_over(self) -> bool:
        return self.left <= 0

    def defuse(self) -> None:
        """Another server asks from now on."""
        self.ground.records.on_write = self.ground.cli.on_phase = lambda: None

    def _step(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise ServerDied


@pytest.fixture
def ground() -> DevGround:
    made = DevGround()
    made.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1")
    return made


async def die_in(ground: DevGround, number: int) -> bool:
    """Recreate with a server that dies at a step; whether there was such a step."""
    bomb = Bomb(ground, number)
    try:
        async with ground.open() as devcontainers:
            await recreated(devcontainers, FORCE)
    except (ServerDied, ExceptionGroup) as error:
        group = error if isinstance(error, ExceptionGroup) else ExceptionGroup("", [error])
        assert group.split(ServerDied)[1] is None
    bomb.defuse()
    return bomb.is_over


@pytest.mark.parametrize("has_old", [False, True])
async def test_wherever_a_server_dies_the_next_one_is_never_wrongly_content(has_old: bool, virtual_time: None) -> None:
    number, has_died = 0, True
    while has_died:
        number += 1
        ground = DevGround()
        ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1")
        old = None
        if has_old:
            async with ground.open() as devcontainers:
                old = (await recreated(devcontainers)).devcontainer.container
        ground.cli.ran.clear()
        has_died = await die_in(ground, number)
        is_whole = ground.cli.ran[-1:] == ["hooks"]
        async with ground.open() as devcontainers:
            found = await only_one(devcontainers)
            if found.container is not None and found.is_complete:
                assert found.container == old or is_whole, f"step {number}"
            if found.container is None:
                assert "create" not in ground.cli.ran
                assert found.status is Status.ERROR or not has_old, f"step {number}: {found}"
            done = (await recreated(devcontainers)).devcontainer
            assert (done.status, done.is_complete, done.error) == (Status.RUNNING, True, ""), f"step {number}"
            assert done.verdict is not None
            assert done.verdict.freshness is Freshness.CLEAN
            assert len(ground.engine.containers) == 1
    assert number > 10


async def test_one_that_died_in_a_hook_says_so_and_is_made_anew(ground: DevGround) -> None:
    ground.cli.at[Phase.POST_CREATE] = die
    with pytest.raises(ExceptionGroup):
        async with ground.open() as devcontainers:
            await recreated(devcontainers)
    ground.cli.at.clear()
    async with ground.open() as devcontainers:
        found = await only_one(devcontainers)
        assert (found.status, found.is_complete, found.error) == (Status.RUNNING, False, CUT_SHORT)
        again = await recreated(devcontainers)
    assert (again.change, again.devcontainer.is_complete) == ("recreated", True)


async def test_an_old_container_survives_a_death_between_build_and_up(ground: DevGround, virtual_time: None) -> None:
    async with ground.open() as devcontainers:
        old = (await recreated(devcontainers)).devcontainer.container
    ground.cli.at[Phase.RESOLVE] = die
    with pytest.raises(ExceptionGroup):
        async with ground.open() as devcontainers:
            await recreated(devcontainers, FORCE)
    async with ground.open() as devcontainers:
        found = await only_one(devcontainers)
    assert (found.container, found.is_complete, found.error) == (old, True, "")


async def test_while_another_server_makes_one_it_is_shown_as_starting_and_not_as_cut_short(
    ground: DevGround, virtual_time: None
) -> None:
    ground.cli.gates[Phase.POST_CREATE] = anyio.Event()
    async with ground.open() as one, ground.open() as other, anyio.create_task_group() as tasks:
        tasks.start_soon(recreated, one)
        await ground.cli.reached[Phase.POST_CREATE].wait()
        found = await only_one(other, is_fresh=True)
        assert (found.status, ground.records.records) == (Status.STARTING, {})
        ground.cli.gates[Phase.POST_CREATE].set()
        await anyio.sleep(2)
        found = await only_one(other)
        assert (found.status, found.is_complete, found.error) == (Status.RUNNING, True, "")
    assert lock_of(SHOP) not in ground.locks.held


def die() -> None:
    raise ServerDied
