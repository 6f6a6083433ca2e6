"""What is mounted at /workspace, and where processes begin. Contradictions: tests/security, T20."""

from __future__ import annotations

import pytest

from ws_mcp.core.engine.model import BindMount, VolumeMount
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.model import HostFolder
from ws_mcp.core.workspaces.mounts import Access, Storage, plan_storage, workspace_mounts

FOLDER = HostFolder(path="/srv/a", device=1, inode=2)


@pytest.mark.parametrize("tier", [1, 2, 3, 4])
def test_who_asks_for_nothing_gets_a_volume_to_write(tier: int) -> None:
    plan = plan_storage(None, has_folder=False, has_volume=None, tier=tier)
    assert (plan.storage, plan.access, plan.cwd) == (Storage.VOLUME, Access.READ_WRITE, "/workspace")
    assert workspace_mounts(plan, volume="v", folder=None) == (VolumeMount(volume="v", target="/workspace"),)


@pytest.mark.parametrize(("tier", "cwd"), [(1, "/tmp"), (2, "/workspace"), (3, "/workspace"), (4, "/workspace")])
@pytest.mark.parametrize(("access", "has_volume"), [(None, False), (Access.NONE, None), (Access.NONE, False)])
def test_without_storage_nothing_is_mounted(
    access: Access | None, has_volume: bool | None, tier: int, cwd: str
) -> None:
    plan = plan_storage(access, has_folder=False, has_volume=has_volume, tier=tier)
    assert (plan.storage, plan.access, plan.cwd) == (Storage.LAYER, Access.NONE, cwd)
    assert workspace_mounts(plan, volume="v", folder=None) == ()


@pytest.mark.parametrize(("access", "is_read_only"), [(Access.READ_ONLY, True), (Access.READ_WRITE, False)])
@pytest.mark.parametrize("has_volume", [None, False])
def test_a_folder_is_mounted_as_it_was_asked_for(access: Access, is_read_only: bool, has_volume: bool | None) -> None:
    plan = plan_storage(access, has_folder=True, has_volume=has_volume, tier=2)
    mount = BindMount(source="/srv/a", target="/workspace", is_read_only=is_read_only)
    assert workspace_mounts(plan, volume="v", folder=FOLDER) == (mount,)


def test_a_contradiction_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match="access 'read_write' needs a folder or the volume"):
        plan_storage(Access.READ_WRITE, has_folder=False, has_volume=False, tier=2)
