"""Who may have less of this machine than the operator's roots gets no more of it by the mounts of a definition."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_definitions import ROOT
from support.kept_ground import SHOP, DevGround, recreated, unheard

from ws_mcp.core.devcontainers.chosen import Chosen
from ws_mcp.core.devcontainers.off import NoDevContainers
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.devcontainers.sightings import CONFIG, FOLDER
from ws_mcp.core.engine.model import BindMount, ContainerSpec, ContainerState
from ws_mcp.core.errors import ForbiddenError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.workspaces.rules import WorkspaceRules

pytestmark = pytest.mark.anyio

BEYOND = "neither in the folder of the definition nor below a root that the operator's policy gives you"


@pytest.fixture
def ground() -> DevGround:
    """A machine on which nothing was made yet."""
    return DevGround()


def mounting(ground: DevGround, source: str) -> None:
    ground.definitions.write(SHOP, {"image": "img:1", "mounts": [f"type=bind,source={source},target=/m"]})


@pytest.mark.parametrize("source", [f"{ROOT}/other", f"{ROOT}/mine/../other", ROOT, "${localWorkspaceFolder}/.."])
async def test_a_mount_of_what_was_not_granted_is_refused(ground: DevGround, source: str) -> None:
    async with ground.open() as devcontainers:
        mounting(ground, source)
        with pytest.raises(ForbiddenError, match=BEYOND):
            await recreated(devcontainers.within((f"{ROOT}/mine",)))
        assert ground.engine.containers == {}
        assert (await recreated(devcontainers)).change == "created"


@pytest.mark.parametrize("source", [f"{ROOT}/mine/x", f"{ROOT}/shop/x", "${localWorkspaceFolder}"])
async def test_what_was_granted_and_the_folder_itself_can_be_mounted(ground: DevGround, source: str) -> None:
    async with ground.open() as devcontainers:
        mounting(ground, source)
        assert (await recreated(devcontainers.within((f"{ROOT}/mine",)))).change == "created"


async def test_what_was_granted_reaches_no_further_than_the_roots_of_the_server(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        mounting(ground, "/srv/x")
        with pytest.raises(ForbiddenError, match="not below the roots that the operator named"):
            await recreated(devcontainers.within(("/srv", "/")))


async def test_a_build_reads_nothing_that_was_not_granted(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        ground.definitions.write(SHOP, {"build": {"dockerfile": "Dockerfile", "context": "../../other"}})
        with pytest.raises(ForbiddenError, match=BEYOND):
            await recreated(devcontainers.within((f"{ROOT}/mine",)))


async def test_a_container_with_more_is_not_started_for_who_may_have_less(ground: DevGround) -> None:
    ground.definitions.write(SHOP, {"image": "img:1"})
    labels = {FOLDER: SHOP.folder, CONFIG: SHOP.config}
    mounts = (BindMount(source=SHOP.folder, target="/workspaces/shop"), BindMount(source=f"{ROOT}/other", target="/m"))
    made = await ground.engine.create(ContainerSpec(name="x", image="img:1", labels=labels, mounts=mounts))
    async with ground.open() as devcontainers:
        with pytest.raises(ForbiddenError, match=BEYOND):
            await devcontainers.within((f"{ROOT}/mine",)).restart("shop", unheard)
        assert (await ground.engine.inspect(made)).state is ContainerState.CREATED
        await devcontainers.restart("shop", unheard)
        assert (await ground.engine.inspect(made)).state is ContainerState.RUNNING


async def test_who_has_a_grant_has_its_roots(ground: DevGround) -> None:
    roots = {"ann": (Path(ROOT),), "bob": (Path(ROOT) / "mine",), "eve": ()}

    def rules_of(principal: PrincipalId) -> WorkspaceRules:
        return WorkspaceRules(roots=roots[principal], has_devcontainers=principal != "eve")

    async with ground.open() as devcontainers:
        none = NoDevContainers(has_engine=True)
        chosen = Chosen(acts=devcontainers, places=none, rules_of=rules_of, roots=(Path(ROOT),))
        mounting(ground, f"{ROOT}/other")
        bobs, anns = (chosen.acts_of(PrincipalId(name)) for name in ("bob", "ann"))
        assert isinstance(bobs, DevContainers)
        assert isinstance(anns, DevContainers)
        with pytest.raises(ForbiddenError, match=BEYOND):
            await recreated(bobs)
        assert (await recreated(anns)).change == "created"
        assert isinstance(chosen.acts_of(PrincipalId("eve")), NoDevContainers)
