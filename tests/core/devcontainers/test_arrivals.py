"""The execds of dev containers: brought once for each start, said when they cannot be, gone with their container."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from support.kept_ground import SHOP, DevGround, only_one, others_container, recreated

from ws_mcp.core.devcontainers.model import Phase, RecreateAsk, Status, Target
from ws_mcp.core.devcontainers.places import DevPlaces
from ws_mcp.core.devcontainers.sightings import CONFIG, FOLDER
from ws_mcp.core.engine.model import ContainerSpec
from ws_mcp.core.errors import ConflictError, PlaceUnavailableError
from ws_mcp.core.processes.port import PlaceRef

pytestmark = pytest.mark.anyio


@pytest.fixture
def ground() -> DevGround:
    made = DevGround()
    made.definitions.write(SHOP, {"image": "img:1"})
    return made


async def test_it_is_brought_once_however_often_is_looked(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        found, address = await devcontainers.resolve("shop")
        for _ in range(3):
            await devcontainers.list(is_fresh=True)
        assert (await only_one(devcontainers)).place == address.place
        assert ground.inside.arrived == [found.container]
        assert address.user == "dev"


async def test_it_is_brought_again_after_a_restart_and_when_it_is_lost(ground: DevGround) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        _, address = await devcontainers.resolve("shop")
        await ground.engine.stop(container, 1)
        await ground.engine.start(container)
        await devcontainers.list(is_fresh=True)
        await devcontainers.resolve("shop")
        assert len(ground.inside.arrived) == 2
        devcontainers.lost(address.place)
        await devcontainers.resolve("shop")
        assert len(ground.inside.arrived) == 3


async def test_a_new_container_has_its_own_and_the_place_of_the_old_one_is_given_up(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        _, old = await devcontainers.resolve("shop")
        await recreated(devcontainers, RecreateAsk(force=True))
        _, new = await devcontainers.resolve("shop")
    assert old.place != new.place
    assert ground.dropped == [old.place]


async def test_that_it_cannot_be_brought_is_the_error_until_it_can(ground: DevGround, virtual_time: None) -> None:
    await others_container(ground)
    ground.inside.refuses = PlaceUnavailableError("its architecture is s390x, and there is no execd for that")
    async with ground.open() as devcontainers:
        await devcontainers.list()
        with pytest.raises(PlaceUnavailableError, match=r"shop.*s390x"):
            await devcontainers.resolve("shop")
        found = await only_one(devcontainers)
        assert (found.status, found.place, "s390x" in found.error) == (Status.RUNNING, None, True)
        ground.inside.refuses = None
        await anyio.sleep(60)
        assert (await only_one(devcontainers)).error == ""
        await devcontainers.resolve("shop")


async def test_it_is_not_brought_into_what_does_not_run_or_may_not_run(ground: DevGround) -> None:
    container = await others_container(ground)
    object.__setattr__(ground.engine.containers[container].spec, "is_privileged", True)
    async with ground.open() as devcontainers:
        await devcontainers.list()
        with pytest.raises(PlaceUnavailableError, match="privileged"):
            await devcontainers.resolve("shop")
        await ground.engine.stop(container, 1)
        await devcontainers.list(is_fresh=True)
        with pytest.raises(ConflictError, match="stopped"):
            await devcontainers.resolve("shop")
    assert ground.inside.arrived == []


async def test_labels_alone_bring_nothing_into_a_container(ground: DevGround) -> None:
    labels = {FOLDER: SHOP.folder, CONFIG: SHOP.config}
    await ground.engine.start(await ground.engine.create(ContainerSpec(name="forged", image="img:1", labels=labels)))
    async with ground.open() as devcontainers:
        await devcontainers.list()
        with pytest.raises(PlaceUnavailableError, match="not mounted"):
            await devcontainers.resolve("shop")
    assert ground.inside.arrived == []
    assert "open_exec" not in ground.engine.calls


async def test_a_container_that_goes_while_it_is_brought_is_no_place(ground: DevGround) -> None:
    container = await others_container(ground)
    ground.inside.gate = anyio.Event()
    async with ground.open() as devcontainers:
        await devcontainers.list()
        await anyio.wait_all_tasks_blocked()
        await ground.engine.remove(container)
        assert (await only_one(devcontainers, is_fresh=True)).status is Status.ABSENT
        ground.inside.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert (await only_one(devcontainers)).place is None


async def test_several_are_brought_at_the_same_time_but_each_by_one_hand(ground: DevGround) -> None:
    for number in range(3):
        await others_container(ground, name=f"c{number}")
    ground.inside.gate = anyio.Event()
    async with ground.open() as devcontainers:
        for _ in range(3):
            await devcontainers.list(is_fresh=True)
        await anyio.wait_all_tasks_blocked()
        assert ground.inside.busy == 1  # of the duplicates one counts
        ground.inside.gate.set()
        await devcontainers.resolve("shop")
    assert ground.inside.most_busy == 1


async def test_in_one_that_is_paused_it_stays_and_nothing_new_is_started_there(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        found, address = await devcontainers.resolve("shop")
        assert found.container is not None
        places = DevPlaces(devcontainers, lambda _address: True)
        await ground.engine.pause(found.container)
        await devcontainers.list(is_fresh=True)
        (seen,) = await places.there()
        assert (seen.address, seen.is_running, "paused" in seen.obstacle) == (address, False, True)
        with pytest.raises(ConflictError, match="paused"):
            await places.place_of("shop")
        assert ground.dropped == []
        await ground.engine.unpause(found.container)
        await devcontainers.list(is_fresh=True)
        assert (await places.place_of("shop")).is_running


async def test_what_runs_in_it_is_there_while_its_next_one_is_built(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        _, old = await devcontainers.resolve("shop")
        places = DevPlaces(devcontainers, lambda _address: True)
        seen: list[tuple[PlaceRef, ...]] = []

        async def look(phase: str, _fraction: float) -> None:
            if phase.startswith(Phase.BUILD.value):
                seen.append(await places.there())
            await anyio.lowlevel.checkpoint()

        ground.definitions.write(SHOP, {"image": "img:1", "init": True})
        await devcontainers.recreate(Target(name="shop"), RecreateAsk(), look)
    assert seen
    assert all((ref.address, ref.is_running) == (old, True) for (ref,) in seen)


async def test_a_server_that_has_just_begun_knows_what_runs_in_dev_containers_when_it_is_asked(
    ground: DevGround,
) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        (ref,) = await DevPlaces(devcontainers, lambda _address: False).there()
    assert (ref.workspace, ref.address.container, ref.is_running) == ("shop", container, True)
