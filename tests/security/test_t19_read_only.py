"""T19, the host's half: what is mounted inside a folder is found, and such a folder is not given read-only."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.host_ground import said_in

from ws_mcp.core.engine.model import BindMount
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.folders import mounts_below
from ws_mcp.core.host.model import HostFolder
from ws_mcp.core.workspaces.mounts import Access, Storage, StoragePlan, hidden_note, workspace_mounts

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /srv/a rw - tmpfs tmpfs rw
31 30 0:26 / /srv/a/with\\040space/x rw - tmpfs tmpfs rw
32 30 0:27 / /srv/a/data rw - nfs server:/x rw
33 22 0:28 / /srv/ab rw - tmpfs tmpfs rw
34 22 0:29 / /srv/a/data rw - tmpfs tmpfs rw
short
"""


def folder(*below: str) -> HostFolder:
    return HostFolder(path="/srv/a", device=1, inode=2, mounts_below=below)


def plan(access: Access) -> StoragePlan:
    return StoragePlan(storage=Storage.FOLDER, access=access, cwd="/workspace")


def test_mounts_in_a_folder_are_found_and_its_own_is_none() -> None:
    assert mounts_below(TABLE, "/srv/a") == ("data", "with space/x")
    assert mounts_below(TABLE, "/srv/a/data") == ()
    assert mounts_below(TABLE, "/srv") == ("a", "a/data", "a/with space/x", "ab")
    assert mounts_below("", "/srv") == ()
    many = "\n".join(f"1 1 0:1 / /srv/{n:02} rw - tmpfs tmpfs rw" for n in range(20))
    assert mounts_below(many, "/srv") == tuple(f"{n:02}" for n in range(8))


def test_a_mount_that_is_really_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "sub dir").mkdir()
    said = said_in(["--tmpfs", f"{tmp_path}/sub dir"], str(tmp_path), str(tmp_path))
    assert "mounts_below=('sub dir',)" in said


def test_a_folder_with_a_mount_in_it_is_not_given_read_only() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"another file system mounted at 'data'.*unmount it, or name a folder"
    ):
        workspace_mounts(plan(Access.READ_ONLY), volume="", folder=folder("data"))


def test_a_folder_with_a_mount_in_it_is_given_read_write_and_said_to_be_without() -> None:
    mount = BindMount(source="/srv/a", target="/workspace")
    assert workspace_mounts(plan(Access.READ_WRITE), volume="", folder=folder("data", "x")) == (mount,)
    assert hidden_note(folder("data", "x")).endswith("stay empty in the workspace: data, x")
    assert hidden_note(folder()) == ""


def test_a_folder_without_is_given_read_only() -> None:
    mount = BindMount(source="/srv/a", target="/workspace", is_read_only=True)
    assert workspace_mounts(plan(Access.READ_ONLY), volume="", folder=folder()) == (mount,)
