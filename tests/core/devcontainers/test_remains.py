"""Whatever `up` leaves is held against what the operator allows: also where it failed, or was cancelled."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from support.kept_ground import SHOP, DevGround, only_one, recreated, states

from ws_mcp.core.devcontainers.model import Phase, RecreateAsk, Status
from ws_mcp.core.devcontainers.swap import DevContainerFailedError
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import ForbiddenError
from ws_mcp.core.jobs import JobBounds

pytestmark = pytest.mark.anyio
FORCE = RecreateAsk(force=True)
COMPOSE = {"dockerComposeFile": "compose.yaml", "service": "app"}


@pytest.fixture
def ground() -> DevGround:
    made = DevGround()
    made.definitions.write(SHOP, {"image": "img:1"})
    return made


def make_privileged(ground: DevGround, name: str = "shop-") -> None:
    """What an image's metadata, or a compose file, can do behind the back of the check."""
    for container in ground.engine.containers.values():
        if container.spec.name.startswith(name):
            container.spec = replace(container.spec, is_privileged=True)


async def test_one_whose_hook_failed_is_removed_if_it_is_more_than_allowed(ground: DevGround) -> None:
    ground.cli.at[Phase.POST_CREATE] = lambda: make_privileged(ground)
    ground.cli.fails[Phase.POST_CREATE] = "postCreateCommand failed with exit code 3"
    async with ground.open() as devcontainers:
        with pytest.raises(ForbiddenError, match=r"privileged.*removed"):
            await recreated(devcontainers)
    assert ground.engine.containers == {}


async def test_one_that_was_cancelled_in_a_hook_is_removed_and_the_old_one_comes_back(
    ground: DevGround, virtual_time: None
) -> None:
    async with ground.open(JobBounds(deadline_s=30)) as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        old = ground.engine.containers[made].spec.name
        ground.cli.at[Phase.POST_CREATE] = lambda: make_privileged(ground, "shop-3")
        ground.cli.gates[Phase.POST_CREATE] = anyio.Event()
        with pytest.raises(Exception, match="did not end within 30 s"):
            await recreated(devcontainers, FORCE)
        found = await only_one(devcontainers)
    assert (found.container, found.status, found.is_complete) == (made, Status.RUNNING, True)
    assert "privileged" in found.error
    assert states(ground) == {old: ContainerState.RUNNING}


async def test_a_sibling_is_looked_at_though_the_dev_container_was_not_made(ground: DevGround) -> None:
    ground.definitions.write(SHOP, COMPOSE)
    ground.cli.sidecars = ("db", "cache")

    def fail() -> None:
        make_privileged(ground, "shop_db_1")
        ids = [each.id for each in ground.engine.containers.values() if each.spec.name.startswith("shop-")]
        for each in ids:
            del ground.engine.containers[each]

    ground.cli.at[Phase.ON_CREATE] = fail
    ground.cli.fails[Phase.ON_CREATE] = "the service exited at once"
    async with ground.open() as devcontainers:
        with pytest.raises(ForbiddenError, match="privileged"):
            await recreated(devcontainers)
        assert "privileged" in (await only_one(devcontainers)).error
    assert list(states(ground)) == ["shop_cache_1"]


async def test_of_a_start_only_what_it_made_is_removed(ground: DevGround) -> None:
    ground.definitions.write(SHOP, COMPOSE)
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        await ground.engine.stop(made, 0)
        ground.cli.at[Phase.POST_START] = lambda: make_privileged(ground)
        with pytest.raises(ForbiddenError, match=r"privileged"):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
    assert (found.container, "privileged" in found.error) == (made, True)
    assert made in ground.engine.containers


async def test_of_compose_it_is_said_that_the_old_container_is_gone_and_what_is_left(ground: DevGround) -> None:
    ground.definitions.write(SHOP, COMPOSE)
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.cli.fails[Phase.CREATE] = "port 8080 is taken"
        words = r"port 8080 is taken.*the old container is gone, which compose cannot keep.*volumes"
        with pytest.raises(DevContainerFailedError, match=words):
            await recreated(devcontainers, FORCE)
        assert (await only_one(devcontainers)).status is Status.ERROR
