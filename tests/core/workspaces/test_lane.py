"""A lane: git works in a workspace on a worktree, and worker programs are mounted where nothing else is."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.host_ground import GIT, allowing, git, need_bubblewrap, repository, sandbox

from ws_mcp.core.engine.model import BindMount
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.folders import open_folder
from ws_mcp.core.host.model import GitFolder, HostFile, HostFolder
from ws_mcp.core.workspaces.lane import GIT_ENVIRONMENT, check_targets, plan_binaries, plan_git
from ws_mcp.core.workspaces.mounts import Access, Storage, StoragePlan, workspace_mounts

WORKTREE = HostFolder(
    path="/srv/wt", device=1, inode=2, git=GitFolder(common_directory="/srv/main/.git", worktree="lane")
)
FILE = HostFile(path="/srv/bin/worker", device=1, inode=3)


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    """The worktree `lane` of a repository that has another one, `other`."""
    need_bubblewrap()
    repository(tmp_path / "main", tmp_path / "lane", tmp_path / "other")
    return tmp_path / "lane"


def mounts_of(worktree: Path, access: Access) -> list[BindMount]:
    folder = open_folder(str(worktree), allowing(worktree.parent))
    plan = StoragePlan(storage=Storage.FOLDER, access=access, cwd="/workspace")
    more, why = plan_git(folder, access)
    assert why == ""
    own = [mount for mount in workspace_mounts(plan, volume="", folder=folder) if isinstance(mount, BindMount)]
    return [*own, *more]


def inside(worktree: Path, access: Access, *words: str) -> tuple[int, str]:
    """Exit code and output of git in a sandbox with the mounts of the lane, as a user who owns nothing of it."""
    environment = {**GIT, **GIT_ENVIRONMENT, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    argv = [*sandbox(mounts_of(worktree, access), environment), "git", *words]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def test_git_works_in_a_worktree_that_may_be_written(lane: Path) -> None:
    (lane / "new").write_text("x\n")
    assert inside(lane, Access.READ_WRITE, "status", "--short") == (0, "?? new\n")
    assert inside(lane, Access.READ_WRITE, "add", "new") == (0, "")
    assert inside(lane, Access.READ_WRITE, "commit", "-q", "-m", "second") == (0, "")
    assert inside(lane, Access.READ_WRITE, "branch", "more") == (0, "")
    assert git(lane.parent / "main", "log", "--format=%s", "lane") == "second\nfirst\n"
    assert git(lane, "status", "--short") == ""


def test_git_reads_in_a_worktree_that_may_only_be_read(lane: Path) -> None:
    assert inside(lane, Access.READ_ONLY, "log", "--format=%s") == (0, "first\n")
    assert inside(lane, Access.READ_ONLY, "status", "--short") == (0, "")
    code, said = inside(lane, Access.READ_ONLY, "commit", "-q", "--allow-empty", "-m", "no")
    assert code != 0
    assert "Read-only file system" in said
    assert git(lane, "log", "--format=%s") == "first\n"


def test_without_the_repository_git_would_not_work(lane: Path) -> None:
    mounts = mounts_of(lane, Access.READ_WRITE)[:1]
    done = subprocess.run([*sandbox(mounts, GIT), "git", "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 128
    assert "not a git repository" in done.stderr


def test_without_our_environment_git_refuses_what_another_user_owns(lane: Path) -> None:
    environment = {**GIT, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    argv = [*sandbox(mounts_of(lane, Access.READ_WRITE), environment), "git", "status"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "dubious ownership" in done.stderr


def test_no_worktree_is_lost_to_a_prune_inside(lane: Path) -> None:
    code, said = inside(lane, Access.READ_WRITE, "worktree", "prune", "-v")
    assert "other" in said, (code, said)
    assert git(lane.parent / "other", "status", "--short") == ""
    assert git(lane, "status", "--short") == ""
    assert git(lane.parent / "main", "worktree", "list").count("\n") == 3
    assert inside(lane, Access.READ_WRITE, "status", "--short") == (0, "")


def test_a_folder_that_needs_nothing_gets_nothing() -> None:
    assert plan_git(replace(WORKTREE, git=None), Access.READ_WRITE) == ((), "")


def test_the_mounts_for_git_are_at_the_same_paths() -> None:
    mounts, why = plan_git(WORKTREE, Access.READ_WRITE)
    assert why == ""
    assert [(m.source, m.target == m.source, m.is_read_only) for m in mounts] == [
        ("/srv/main/.git", True, False),
        ("/srv/main/.git/worktrees", True, True),
        ("/srv/main/.git/worktrees/lane", True, False),
        ("/srv/wt", True, False),
    ]
    mounts, _ = plan_git(WORKTREE, Access.READ_ONLY)
    assert [(m.source, m.is_read_only) for m in mounts] == [("/srv/main/.git", True)]


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        (replace(WORKTREE, git=GitFolder(reason="its .git is a link")), "its .git is a link"),
        (replace(WORKTREE, git=GitFolder(common_directory="/workspace/main/.git", worktree="l")), "taken inside"),
        (replace(WORKTREE, path="/workspace/wt"), "taken inside"),
    ],
)
def test_where_git_cannot_work_the_answer_says_why(folder: HostFolder, why: str) -> None:
    for access in (Access.READ_ONLY, Access.READ_WRITE):
        mounts, said = plan_git(folder, access)
        assert mounts == ()
        assert said.startswith("git will not work inside: ")
        assert why in said


def test_binaries_are_mounted_read_only() -> None:
    worker, inbox = "/usr/local/bin/worker", "/usr/local/bin/inbox"
    assert plan_binaries({worker: FILE, inbox: replace(FILE, path="/srv/bin/inbox")}) == (
        BindMount(source="/srv/bin/inbox", target=inbox, is_read_only=True),
        BindMount(source="/srv/bin/worker", target=worker, is_read_only=True),
    )
    assert plan_binaries({}) == ()


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/workspace",
        "/workspace/bin/worker",
        "/configs",
        "/configs/x",
        "/.ws-mcp",
        "/.ws-mcp/execd",
        "/dev",
        "/dev/shm/x",
        "/proc/1/root",
        "/sys/x",
    ],
)
def test_a_target_in_or_above_what_is_taken_is_refused(target: str) -> None:
    with pytest.raises(InvalidArgumentError, match="taken inside"):
        check_targets({target: FILE})


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("worker", "plain absolute path"),
        ("", "plain absolute path"),
        ("/opt/../workspace/x", "plain absolute path"),
        ("/opt//x", "plain absolute path"),
        ("//opt/x", "plain absolute path"),
        ("/opt/x/", "plain absolute path"),
        ("/opt/./x", "plain absolute path"),
        ("/opt/a\nb", "printable"),
        ("/opt/a\0b", "printable"),
        ("/opt/\ud800", "printable"),
        ("/opt/" + "x" * 1024, "at most 1024 bytes"),
    ],
)
def test_an_odd_target_is_refused(target: str, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        check_targets({target: FILE})
    assert str(caught.value).isprintable()


def test_targets_that_meet_each_other_or_another_mount_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="something else is mounted"):
        plan_binaries({"/opt/a": FILE, "/opt/a/b": FILE})
    taken, _ = plan_git(WORKTREE, Access.READ_WRITE)
    for target in ("/srv/main/.git/config", "/srv/wt/x", "/srv"):
        with pytest.raises(InvalidArgumentError, match="something else is mounted"):
            plan_binaries({target: FILE}, taken)
    assert check_targets({"/opt/a": FILE, "/opt/ab": FILE}) is None


def test_only_so_many_files_are_mounted() -> None:
    check_targets({f"/opt/{n}": FILE for n in range(16)})
    with pytest.raises(InvalidArgumentError, match="17 files are too many to mount: at most 16"):
        check_targets({f"/opt/{n}": FILE for n in range(17)})
