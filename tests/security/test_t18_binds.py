"""T18: a folder of the host is below an allowed root, without links, and stays the one that was looked at."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest
from support.host_ground import allowing, need_bubblewrap, said_in, sandbox, swapping

from ws_mcp.core.engine.model import BindMount
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError, WsError
from ws_mcp.core.host.folders import is_in_place, open_file, open_folder
from ws_mcp.core.host.opening import weakness_of
from ws_mcp.core.workspaces.mounts import check_apart

RACE_S = 2.0
SWAPS = 2000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a project in it, beside a directory that is not allowed."""
    (tmp_path / "root" / "team" / "project").mkdir(parents=True)
    (tmp_path / "outside" / "project").mkdir(parents=True)
    (tmp_path / "outside" / "secret").write_text("x")
    return tmp_path / "root"


def test_a_folder_below_a_root_is_opened(root: Path) -> None:
    found = open_folder(f"{root}/team/project/", allowing(root.parent / "none", root))
    status = (root / "team" / "project").stat()
    assert (found.path, found.device, found.inode) == (f"{root}/team/project", status.st_dev, status.st_ino)
    assert (found.git, found.mounts_below) == (None, ())


def test_the_root_itself_is_a_folder(root: Path) -> None:
    assert open_folder(str(root), allowing(root)).path == str(root)


def test_nothing_is_opened_without_a_root(root: Path) -> None:
    with pytest.raises(ForbiddenError, match="the operator allows it with --root DIRECTORY"):
        open_folder(str(root), allowing())


def test_a_root_may_be_named_by_a_link_and_the_folder_is_named_without(root: Path) -> None:
    alias = root.parent / "alias"
    alias.symlink_to(root)
    for path in (f"{alias}/team/project", f"{root}/team/project"):
        assert open_folder(path, allowing(alias)).path == f"{root}/team/project"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc", "is not below a directory that the operator allows; --root DIRECTORY would"),
        ("{root}-evil", "is not below"),
        ("{outside}", "is not below"),
        ("{root}/../outside", "has '.', '..' or '//' in it"),
        ("{root}/team/../../outside", "has '.', '..' or '//' in it"),
        ("{root}/./team", "has '.', '..' or '//' in it"),
        ("{root}//team", "has '.', '..' or '//' in it"),
        ("team/project", "is not an absolute path"),
        ("", "is not an absolute path"),
        ("~/project", "is not an absolute path"),
        ("{root}/team\0/x", "characters that cannot be shown"),
        ("{root}/team\n", "characters that cannot be shown"),
        ("{root}/\ud800", "characters that cannot be shown"),
        ("{root}/" + "x/" * 2100, "too long"),
        ("{root}/missing", "does not exist"),
        ("{root}/file", "is not a directory"),
        ("{root}/file/x", "is not a directory"),
        ("{root}/link", "is a link"),
        ("{root}/link/project", "is a link"),
        ("{root}/inner", "is a link"),
    ],
)
def test_an_attackers_path_is_refused(root: Path, path: str, why: str) -> None:
    (root / "file").write_text("x")
    (root / "link").symlink_to(root.parent / "outside")
    (root / "inner").symlink_to("team")
    given = path.replace("{root}", str(root)).replace("{outside}", str(root.parent / "outside"))
    with pytest.raises(WsError) as caught:
        open_folder(given, allowing(root))
    said = str(caught.value)
    assert isinstance(caught.value, InvalidArgumentError | ForbiddenError)
    assert why in said
    assert said.isprintable()
    assert all(given.startswith(shown) for shown in re.findall(r"'(/[^/' ][^' ]*)", said))


def test_what_is_not_below_a_root_is_refused_alike_whether_or_not_it_exists(root: Path) -> None:
    for name in ("outside", "missing"):
        with pytest.raises(ForbiddenError) as caught:
            open_folder(f"{root.parent}/{name}", allowing(root))
        assert str(caught.value).replace(name, "X").startswith(f"folder '{root.parent}/X' is not below")
        assert str(root) not in str(caught.value)


def test_a_folder_that_the_server_may_not_read_is_refused(root: Path) -> None:
    (root / "team" / "project").chmod(0)
    # Without capabilities, since root reads everything.
    said = said_in(["--unshare-user", "--cap-drop", "ALL"], f"{root}/team/project", str(root))
    assert said == f"folder '{root}/team/project' may not be read by ws-mcp; change its permissions"


def test_a_file_is_opened_by_the_same_rules(root: Path) -> None:
    (root / "worker").write_bytes(b"\x7fELF")
    (root / "team" / "link").symlink_to(root / "worker")
    os.mkfifo(root / "fifo")
    assert open_file(f"{root}/worker", allowing(root)).inode == (root / "worker").stat().st_ino
    for path, why in (("team/link", "is a link"), ("fifo", "not a regular file"), ("team", "not a regular file")):
        with pytest.raises(InvalidArgumentError, match=why):
            open_file(f"{root}/{path}", allowing(root))
    with pytest.raises(InvalidArgumentError, match="is a directory; name a file in it"):
        open_file(str(root), allowing(root))


@pytest.mark.parametrize(("mode", "who"), [(0o777, "others"), (0o757, "others")])
def test_a_folder_that_others_could_swap_is_refused(root: Path, mode: int, who: str) -> None:
    (root / "team").chmod(mode)
    with pytest.raises(
        ForbiddenError, match=rf"project' could be swapped: .*team' can be written by {who}.*chmod go-w"
    ):
        open_folder(f"{root}/team/project", allowing(root))
    # What is in the folder may be written by whoever: only its name must not be given to something else.
    assert open_folder(f"{root}/team", allowing(root))


@pytest.mark.parametrize(
    ("owner", "mode", "child", "why"),
    [
        (1000, 0o755, 1000, ""),
        (0, 0o755, 1000, ""),
        (0, 0o755, 1001, ""),
        (0, 0o1777, 1000, ""),  # as /tmp: only its owner may rename it
        (0, 0o1777, 0, ""),
        (0, 0o1777, 1001, "written by others"),
        (0, 0o777, 1000, "written by others"),
        (1000, 0o775, 1000, "written by others"),  # the group 4242 is nobody's own
        (1001, 0o755, 1000, "another user"),
        (1001, 0o700, 1001, "another user"),
    ],
)
def test_who_could_swap_it_follows_from_owner_and_mode(owner: int, mode: int, child: int, why: str) -> None:
    above = os.stat_result((stat.S_IFDIR | mode, 1, 1, 2, owner, 4242, 0, 0, 0, 0))
    below = os.stat_result((stat.S_IFDIR | 0o755, 2, 1, 2, child, 4242, 0, 0, 0, 0))
    found = weakness_of(above, below, 1000)
    assert why in found
    assert bool(why) is bool(found)


def test_a_group_that_is_the_users_own_may_write() -> None:
    # root's own group is root on Linux; on a system where it is another the rule has no case.
    above = os.stat_result((stat.S_IFDIR | 0o775, 1, 1, 2, 0, 0, 0, 0, 0, 0))
    assert weakness_of(above, above, 0) == ""


def test_a_folder_in_a_folder_that_another_workspace_writes_is_refused(root: Path) -> None:
    with pytest.raises(ForbiddenError, match="another workspace may write, which could swap it"):
        check_apart(f"{root}/team/project", ["/srv/x", f"{root}/team"])
    check_apart(f"{root}/team/project", [f"{root}/team/project", f"{root}/team/project/sub", f"{root}/te"])
    # And if it was written there already: the link is seen.
    (root / "team" / "project" / "evil").symlink_to("/etc")
    with pytest.raises(InvalidArgumentError, match="is a link"):
        open_folder(f"{root}/team/project/evil", allowing(root))


def test_a_racer_that_swaps_a_directory_for_a_link_never_gets_another_one_opened(root: Path) -> None:
    target, aside, outside = root / "team", root / "aside", root.parent / "outside"
    inode = (target / "project").stat().st_ino
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        target.rename(aside)
        target.symlink_to(outside)
        target.unlink()
        aside.rename(target)
        swaps += 1

    found: list[int] = []
    refused = 0
    with swapping(swap):
        end = time.monotonic() + RACE_S
        while not (found and refused and (swaps >= SWAPS or time.monotonic() > end)):
            try:
                found.append(open_folder(f"{target}/project", allowing(root)).inode)
            except InvalidArgumentError:
                refused += 1
    assert set(found) == {inode}


def test_what_a_process_really_has_at_a_path_is_compared(root: Path) -> None:
    folder = open_folder(f"{root}/team/project", allowing(root))
    other = open_folder(f"{root}/team", allowing(root))
    (root / "link").symlink_to(root / "team" / "project")
    own = os.getpid()
    assert is_in_place(own, f"{root}/team/project", folder) is True
    assert is_in_place(own, f"{root}/team/project", other) is False
    assert is_in_place(own, f"{root}/link", folder) is False
    assert is_in_place(own, f"{root}/missing", folder) is False
    assert is_in_place(2**22 + 1, f"{root}/team/project", folder) is None


def test_a_folder_that_was_swapped_before_the_mount_is_found_out_after_it(root: Path) -> None:
    need_bubblewrap()
    folder = open_folder(f"{root}/team/project", allowing(root))
    assert is_in_place_inside(folder.path, folder.path, root) is True
    (root / "team" / "project").rename(root / "team" / "was")
    (root / "team" / "project").symlink_to(root.parent / "outside")
    assert is_in_place_inside(folder.path, f"{root}/team/was", root) is False


def is_in_place_inside(source: str, real: str, root: Path) -> bool | None:
    """What is found of a sandbox that was given `source`, for the folder that is at `real`."""
    folder = open_folder(real, allowing(root))
    read, write = os.pipe()
    words = sandbox([BindMount(source=source, target="/workspace")], {})
    words = [words[0], "--info-fd", str(write), *words[1:], "cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(write,)) as child:
        os.close(write)
        assert child.stdin is not None
        assert child.stdout is not None
        with os.fdopen(read, "rb") as told:
            inside = int(json.loads(told.read())["child-pid"])
        # It answers, so its root is the sandbox's by now.
        child.stdin.write(b"x\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"x\n"
        found = is_in_place(inside, "/workspace", folder)
        child.stdin.close()
    return found
