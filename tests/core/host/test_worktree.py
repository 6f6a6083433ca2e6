"""What a folder's `.git` file leads to: its own repository below a root, or the reason why git will not work inside."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.host_ground import allowing, git, repository

from ws_mcp.core.host.folders import open_folder
from ws_mcp.core.host.model import GitFolder


def git_of(folder: Path, *roots: Path) -> GitFolder | None:
    return open_folder(str(folder), allowing(*roots)).git


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    repository(tmp_path / "main", tmp_path / "lane")
    return tmp_path / "lane"


def test_a_worktree_leads_to_its_repository(worktree: Path) -> None:
    expected = GitFolder(common_directory=f"{worktree.parent}/main/.git", worktree="lane")
    assert git_of(worktree, worktree.parent) == expected
    assert git_of(worktree, worktree, worktree.parent / "main") == expected


def test_a_worktree_of_a_bare_repository_leads_there(tmp_path: Path) -> None:
    repository(tmp_path / "first")
    git(tmp_path, "clone", "-q", "--bare", "first", "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "-q", str(tmp_path / "lane"))
    assert git_of(tmp_path / "lane", tmp_path) == GitFolder(common_directory=f"{tmp_path}/bare.git", worktree="lane")


def test_a_plain_folder_and_a_whole_repository_need_nothing(worktree: Path) -> None:
    (worktree.parent / "plain").mkdir()
    assert git_of(worktree.parent / "plain", worktree.parent) is None
    assert git_of(worktree.parent / "main", worktree.parent) is None


def test_a_repository_that_is_not_below_a_root_is_not_given(worktree: Path) -> None:
    found = git_of(worktree, worktree)
    assert found is not None
    assert found.common_directory == ""
    assert "is not below a directory that the operator allows; --root DIRECTORY would" in found.reason


def test_another_repository_is_not_given_for_naming_it(worktree: Path) -> None:
    # What a workspace can do that may write into a folder: say that it were the worktree of a foreign repository.
    evil = worktree.parent / "evil"
    evil.mkdir()
    (evil / ".git").write_bytes((worktree / ".git").read_bytes())
    found = git_of(evil, worktree.parent)
    assert found is not None
    assert found.common_directory == ""
    assert "does not know this folder as its worktree" in found.reason


def test_a_moved_worktree_is_given_again_after_a_repair(worktree: Path) -> None:
    moved = worktree.rename(worktree.parent / "moved")
    found = git_of(moved, moved.parent)
    assert found is not None
    assert "git worktree repair" in found.reason
    git(moved, "worktree", "repair")
    assert git_of(moved, moved.parent) == GitFolder(common_directory=f"{moved.parent}/main/.git", worktree="lane")


def test_a_link_anywhere_on_the_way_is_not_followed(worktree: Path) -> None:
    main = worktree.parent / "main"
    (main / ".git").rename(worktree.parent / "real.git")
    (main / ".git").symlink_to(worktree.parent / "real.git")
    found = git_of(worktree, worktree.parent)
    assert found is not None
    assert "main/.git' is a link" in found.reason


def test_a_submodule_is_not_a_worktree(worktree: Path) -> None:
    main = worktree.parent / "main"
    repository(worktree.parent / "other")
    git(main, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"{worktree.parent}/other", "sub")
    found = git_of(main / "sub", worktree.parent)
    assert found is not None
    assert "relative path" in found.reason


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"gitdir: /etc\n", "does not name a worktree"),
        (b"gitdir: {here}/main/.git/modules/x\n", "does not name a worktree"),
        (b"gitdir: {here}/main/.git/worktrees/../worktrees/lane\n", "does not name a worktree"),
        (b"gitdir: /etc/worktrees/x\n", "not below a directory"),
        (b"gitdir: {here}/main/.git/worktrees/gone\n", "does not exist"),
        (b"gitdir: {here}/main/.git/worktrees/lane\0\n", "cannot be shown"),
        (b"gitdir: ../main/.git/worktrees/lane\n", "relative path"),
        (b"something else\n", "cannot be read"),
        (b"gitdir: \xff\n", "cannot be read"),
        (b"gitdir: /" + b"x" * 5000, "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_an_odd_git_file_is_a_reason_and_no_repository(worktree: Path, text: bytes, why: str) -> None:
    (worktree / ".git").write_bytes(text.replace(b"{here}", str(worktree.parent).encode()))
    found = git_of(worktree, worktree.parent)
    assert found is not None
    assert (found.common_directory, found.worktree) == ("", "")
    assert why in found.reason
    assert found.reason.isprintable()


def test_a_git_file_of_another_kind_is_a_reason(worktree: Path) -> None:
    target = worktree / ".git"
    target.rename(worktree / "real")
    target.symlink_to("real")
    found = git_of(worktree, worktree.parent)
    assert found is not None
    assert found.reason == "its .git is a link, which is not followed"


@pytest.mark.parametrize("name", ["HEAD", "objects", "refs"])
def test_what_does_not_look_like_a_repository_is_not_given(worktree: Path, name: str) -> None:
    (worktree.parent / "main" / ".git" / name).rename(worktree.parent / "aside")
    found = git_of(worktree, worktree.parent)
    assert found is not None
    assert "not laid out as git does it" in found.reason


def test_a_worktree_whose_directory_names_another_repository_is_not_given(worktree: Path) -> None:
    (worktree.parent / "main" / ".git" / "worktrees" / "lane" / "commondir").write_text("/etc\n")
    found = git_of(worktree, worktree.parent)
    assert found is not None
    assert "not laid out as git does it" in found.reason


def test_a_repository_whose_head_is_a_link_is_not_given(worktree: Path) -> None:
    head = worktree.parent / "main" / ".git" / "HEAD"
    head.rename(worktree.parent / "aside")
    head.symlink_to(worktree.parent / "aside")
    found = git_of(worktree, worktree.parent)
    assert found is not None
    assert "not laid out as git does it" in found.reason
