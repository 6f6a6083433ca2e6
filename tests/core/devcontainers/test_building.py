"""A build reads what was checked: who swaps it meanwhile gets nothing, and the old container stays as it was."""

from __future__ import annotations

import pytest
from support.kept_ground import SHOP, DevGround, only_one, recreated, remade

from ws_mcp.core.devcontainers.model import Phase, RecreateAsk, Status
from ws_mcp.core.devcontainers.moorings import Mooring, Moorings
from ws_mcp.core.devcontainers.port import Definition, Verb
from ws_mcp.core.devcontainers.swap import DevContainerFailedError
from ws_mcp.core.devcontainers.watchdog import READ_S
from ws_mcp.core.errors import ConflictError

pytestmark = pytest.mark.anyio

FORCE = RecreateAsk(force=True)


class Sea:
    """Where the paths of the definition lead, as a test moves them."""

    def __init__(self) -> None:
        self.real = "/projects/shop"
        self.version = 1

    async def moored(self, _: Definition) -> Moorings:
        return Moorings(places={"src": Mooring(real=self.real, version=(self.version,))})

    def drift(self) -> None:
        self.real = "/etc"

    def touch(self) -> None:
        self.version += 1


@pytest.fixture
def sea() -> Sea:
    return Sea()


@pytest.fixture
def ground(sea: Sea) -> DevGround:
    made = DevGround()
    made.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1")
    made.moored = sea.moored
    return made


async def test_a_build_is_given_a_copy_that_nobody_else_can_write(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await recreated(devcontainers, FORCE)
    _, build, up = ground.cli.calls
    assert (build.verb, up.verb) == (Verb.BUILD, Verb.UP)
    assert build.content is not None
    assert build.content != up.content
    assert "img:1" in ground.cli.copies[build.content]


async def test_local_features_are_built_from_beside_the_definition_itself(ground: DevGround) -> None:
    ground.definitions.write(SHOP, {"image": "img:1", "features": {"./tool": {}}})
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await recreated(devcontainers, FORCE)
    assert ground.cli.calls[1].content is None


async def test_a_context_that_leads_elsewhere_during_the_build_ends_it_with_the_old_container(
    ground: DevGround, sea: Sea
) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.at[Phase.BUILD] = sea.drift
        with pytest.raises(ConflictError, match=r"src of dev container 'shop' was replaced.*not touched"):
            await recreated(devcontainers, FORCE)
        found = await only_one(devcontainers)
    assert (found.container, found.status) == (made, Status.RUNNING)
    assert ground.cli.runs == [Verb.UP, Verb.BUILD]


async def test_a_context_that_leads_elsewhere_after_the_check_is_not_built(ground: DevGround, sea: Sea) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.cli.on_read = sea.drift
        with pytest.raises(ConflictError, match="replaced"):
            await recreated(devcontainers, FORCE)
    assert ground.cli.runs == [Verb.UP]


async def test_a_file_that_was_another_for_a_moment_is_built_again(ground: DevGround, sea: Sea) -> None:
    touches = iter([sea.touch])

    def touch_once() -> None:
        next(touches, lambda: None)()

    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.cli.at[Phase.BUILD] = touch_once
        assert (await recreated(devcontainers, FORCE)).change == "recreated"
    assert ground.cli.runs[1:] == [Verb.BUILD, Verb.BUILD, Verb.UP]


async def test_a_build_that_reads_for_ever_is_ended_and_says_so(ground: DevGround, virtual_time: None) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.hangs_in = Phase.RESOLVE
        with pytest.raises(DevContainerFailedError, match=rf"said nothing for {READ_S:.0f} s.*not touched"):
            await remade(devcontainers)
        found = await only_one(devcontainers)
    assert (found.container, found.status) == (made, Status.RUNNING)
