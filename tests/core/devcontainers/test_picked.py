"""The CLI goes by labels: where it would work on another container than the one that is meant, nothing is begun."""

from __future__ import annotations

import pytest
from support.devcontainer_values import SHOP, compose_labels, container, labels_of
from support.kept_ground import SHOP as KEPT_SHOP
from support.kept_ground import DevGround, only_one, others_container, recreated, states, unheard

from ws_mcp.core.devcontainers.model import DevContainer, RecreateAsk, Status
from ws_mcp.core.devcontainers.picked import check_picked, picked_of, picked_of_project
from ws_mcp.core.devcontainers.sightings import FOLDER
from ws_mcp.core.engine.model import ContainerSpec, ContainerState
from ws_mcp.core.errors import ConflictError

FORCE = RecreateAsk(force=True)
MINE = container("mine")
FOUND = DevContainer(key=SHOP, name="shop", status=Status.RUNNING, container=MINE.id)
ABSENT = DevContainer(key=SHOP, name="shop", status=Status.ABSENT)


@pytest.fixture
def ground() -> DevGround:
    made = DevGround()
    made.definitions.write(KEPT_SHOP, {"image": "img:1"})
    return made


def test_the_newest_is_taken_whether_it_runs_or_not() -> None:
    older, newer = container("older", age_s=9), container("newer", None, ContainerState.EXITED, -9)
    for order in ([older, MINE, newer], [newer, older, MINE]):
        assert picked_of(FOUND, order) == newer
    assert picked_of(FOUND, [older, MINE]) == MINE


def test_of_two_of_the_same_second_the_one_that_is_meant_is_taken() -> None:
    assert picked_of(FOUND, [MINE, container("twin")]) == picked_of(FOUND, [container("twin"), MINE]) == MINE


def test_one_without_a_config_is_taken_where_there_is_no_other() -> None:
    old_label = container("of an older tool", {FOLDER: SHOP.folder})
    assert picked_of(ABSENT, [old_label]) == old_label
    assert picked_of(FOUND, [MINE, old_label]) == MINE
    other = container("of another config", labels_of() | {"devcontainer.config_file": "/home/ann/shop/other"}, age_s=-1)
    assert picked_of(ABSENT, [old_label, other]) is None
    assert picked_of(ABSENT, [container("of another folder", {FOLDER: "/home/ann/bread"})]) is None


def test_compose_takes_the_container_of_the_service_of_its_project() -> None:
    folder = f"{SHOP.folder}/.devcontainer"
    stranger = container("stranger", compose_labels("shop_devcontainer", "app", folder))
    assert picked_of_project(ABSENT, folder, [stranger]) == stranger
    assert picked_of_project(ABSENT, SHOP.folder, [stranger]) is None
    made = DevContainer(key=SHOP, name="shop", status=Status.RUNNING, container=MINE.id, project="shop_devcontainer")
    elsewhere = container("other project", compose_labels("other", "app", folder), age_s=-9)
    assert picked_of_project(made, folder, [stranger, elsewhere]) == stranger


def test_nothing_is_said_where_it_would_take_the_right_one_or_none() -> None:
    check_picked(FOUND, MINE)
    check_picked(FOUND, None)
    check_picked(ABSENT, None)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", [FORCE, RecreateAsk(force=True, is_dry_run=True)])
async def test_a_newer_one_that_does_not_count_is_named_and_kept(ground: DevGround, ask: RecreateAsk) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        newer = await others_container(ground, name="newer")
        await ground.engine.stop(newer, 0)
        before = states(ground)
        with pytest.raises(ConflictError, match=r"'newer' carries .*'shop'.*remove_workspace"):
            await recreated(devcontainers, ask)
        assert (states(ground), (await only_one(devcontainers)).container) == (before, made)
        await devcontainers.remove("newer", unheard)
        assert (await recreated(devcontainers, FORCE)).old_container == made


@pytest.mark.anyio
async def test_one_that_is_none_of_the_operators_is_not_taken_for_the_first_one(ground: DevGround) -> None:
    ground.labels = {"team": "a"}
    await others_container(ground)
    async with ground.open() as devcontainers:
        assert (await only_one(devcontainers)).status is Status.ABSENT
        with pytest.raises(ConflictError, match=r"'others' .*docker rm"):
            await recreated(devcontainers)
    assert ground.cli.calls == []


@pytest.mark.anyio
async def test_a_service_that_compose_alone_runs_is_not_taken_for_the_dev_container(ground: DevGround) -> None:
    ground.definitions.write(KEPT_SHOP, {"dockerComposeFile": "compose.yaml", "service": "app"})
    await ground.engine.create(
        ContainerSpec(
            name="by-hand", image="img:1", labels=compose_labels("x", "app", f"{KEPT_SHOP.folder}/.devcontainer")
        )
    )
    async with ground.open() as devcontainers:
        with pytest.raises(ConflictError, match=r"'by-hand' .*docker rm"):
            await recreated(devcontainers)
    assert ground.cli.calls == []
