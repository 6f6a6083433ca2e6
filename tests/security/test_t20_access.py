"""T20: access, folder and tier that do not fit are an error that says what to change; nothing is degraded silently."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.denials import open_server
from support.edge_client import MODES
from support.fake_engine import FakeEngine
from support.policies import ALICE, everything, in_force
from support.workspace_ground import SPEC, an_engine, open_service

from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.workspaces.mounts import MATRIX, Access, Mismatch, Storage, plan_storage

NONE, READ_ONLY, READ_WRITE = Access.NONE, Access.READ_ONLY, Access.READ_WRITE
# Access, whether a folder is given, tier, and what is at /workspace then or what the error says to do.
GRID: list[tuple[Access, bool, int, Storage | str]] = [
    (NONE, False, 1, Storage.LAYER),
    (NONE, False, 2, Storage.LAYER),
    (NONE, False, 3, Storage.LAYER),
    (NONE, False, 4, Storage.LAYER),
    (NONE, True, 1, "access 'none' gives no folder: leave the folder out"),
    (NONE, True, 2, "access 'none' gives no folder: leave the folder out"),
    (NONE, True, 3, "access 'none' gives no folder: leave the folder out"),
    (NONE, True, 4, "access 'none' gives no folder: leave the folder out"),
    (READ_ONLY, False, 1, "access 'read_only' needs a folder"),
    (READ_ONLY, False, 2, "access 'read_only' needs a folder"),
    (READ_ONLY, False, 3, "access 'read_only' needs a folder"),
    (READ_ONLY, False, 4, "access 'read_only' needs a folder"),
    (READ_ONLY, True, 1, "tier 1 has no folder of the host; leave the folder out, or use tier 2"),
    (READ_ONLY, True, 2, Storage.FOLDER),
    (READ_ONLY, True, 3, Storage.FOLDER),
    (READ_ONLY, True, 4, Storage.FOLDER),
    (READ_WRITE, False, 1, Storage.VOLUME),
    (READ_WRITE, False, 2, Storage.VOLUME),
    (READ_WRITE, False, 3, Storage.VOLUME),
    (READ_WRITE, False, 4, Storage.VOLUME),
    (READ_WRITE, True, 1, "tier 1 has no folder of the host; leave the folder out, or use tier 2"),
    (READ_WRITE, True, 2, Storage.FOLDER),
    (READ_WRITE, True, 3, Storage.FOLDER),
    (READ_WRITE, True, 4, Storage.FOLDER),
]


@pytest.mark.parametrize(("access", "has_folder", "tier", "expected"), GRID)
def test_access_folder_and_tier_fit_or_are_refused(
    access: Access, has_folder: bool, tier: int, expected: Storage | str
) -> None:
    if isinstance(expected, Storage):
        plan = plan_storage(access, has_folder=has_folder, has_volume=None, tier=tier)
        assert (plan.storage, plan.access) == (expected, access)
        return
    with pytest.raises(InvalidArgumentError, match=re.escape(expected)):
        plan_storage(access, has_folder=has_folder, has_volume=None, tier=tier)


def test_the_grid_is_whole() -> None:
    assert [row[:3] for row in GRID] == list(itertools.product(Access, (False, True), (1, 2, 3, 4)))


def test_the_matrix_is_whole_and_every_mismatch_is_in_it() -> None:
    wishes = [None, *Access]
    assert set(MATRIX) == set(itertools.product(wishes, (False, True), (None, True, False)))
    outcomes = {outcome for row in MATRIX.values() for outcome in row}
    assert outcomes == {*Storage, *Mismatch}


@pytest.mark.parametrize("tier", [1, 2, 3, 4])
def test_a_folder_is_never_given_with_access_that_nobody_asked_for(tier: int) -> None:
    with pytest.raises(InvalidArgumentError, match=r"a folder needs access|tier 1 has no folder"):
        plan_storage(None, has_folder=True, has_volume=None, tier=tier)


def test_a_folder_is_never_mounted_at_tier_1() -> None:
    assert all(tier_1 is not Storage.FOLDER for tier_1, _ in MATRIX.values())


@pytest.mark.parametrize("tier", [2, 3, 4])
@pytest.mark.parametrize("access", [None, READ_ONLY, READ_WRITE])
def test_a_folder_and_a_volume_cannot_both_be_there(access: Access | None, tier: int) -> None:
    with pytest.raises(InvalidArgumentError, match="a folder and a volume cannot both be at /workspace"):
        plan_storage(access, has_folder=True, has_volume=True, tier=tier)


@pytest.mark.parametrize("message", Mismatch)
def test_every_mismatch_says_what_to_change(message: Mismatch) -> None:
    assert re.search(r"leave .* out|name (one|a folder)", message.value)
    assert "\n" not in message.value


class Here(FakeEngine):
    """An engine that sees the folders of this machine."""

    async def info(self) -> EngineInfo:
        return replace(await super().info(), endpoint="unix:///run/none.sock")


@pytest.mark.parametrize(("most", "access"), [(most, wanted) for most in Access for wanted in (READ_ONLY, READ_WRITE)])
async def test_a_folder_is_had_with_at_most_the_access_that_is_granted(
    tmp_path: Path, most: Access, access: Access, real_io_both: None
) -> None:
    folder = tmp_path / "root" / "project"
    folder.mkdir(parents=True)
    fake = Here()
    fake.add_image(await an_engine().image("img:1"))
    rules = in_force(everything(access=most, roots=(tmp_path / "root",))).rules_of(ALICE)
    async with open_service(fake, tmp_path, rules) as service:
        wish = replace(SPEC, folder=str(folder), access=access)
        if list(Access).index(access) <= list(Access).index(most):
            assert (await service.provision(wish)).change == "created"
            return
        with pytest.raises(ForbiddenError, match=f"at most {most.value!r}"):
            await service.provision(wish)
        assert "create" not in fake.calls


@pytest.mark.parametrize("mode", MODES)
async def test_more_access_than_is_granted_is_refused_at_the_gate(mode: str) -> None:
    policy = in_force(everything(access=READ_ONLY, roots=(Path("/srv/a"),)))
    async with open_server(policy, mode) as server:
        for folder, rule in (("/srv/a", "access"), ("/srv/b", "roots"), ("/srv/ab", "roots")):
            wish = {"folder": folder, "access": "read_write"}
            await server.denied("provision_workspace", f"grant 'alice': {rule}", options=wish)
        await server.allowed("provision_workspace", options={"folder": "/srv/a/x", "access": "read_only"})
