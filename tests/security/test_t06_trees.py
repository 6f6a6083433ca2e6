"""T06: a template with anything in it but files and directories is refused, and nothing foreign gets into a volume."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.host_ground import need_bubblewrap, swapping

from ws_mcp.core.entries import CONFIG_LIMITS, HOME_LIMITS, TreeLimits
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.tree import read_tree

ASK = """
import sys
from pathlib import Path
from ws_mcp.core.entries import CONFIG_LIMITS
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.tree import read_tree
try:
    read_tree(Path(sys.argv[1]), CONFIG_LIMITS, "template 'py'")
except InvalidArgumentError as error:
    print(error)
"""
SECRET = b"root:$6$secret:19000::::::\n"
RACE_S = 2.0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A template beside a secret that is not part of it."""
    (tmp_path / "shadow").write_bytes(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_bytes(SECRET)
    tree = tmp_path / "template"
    (tree / "sub").mkdir(parents=True)
    (tree / "config.yaml").write_text("a: 1\n")
    return tree


def link_to_a_file(tree: Path) -> None:
    (tree / "sub" / "x").symlink_to(tree.parent / "shadow")


def link_to_a_directory(tree: Path) -> None:
    (tree / "sub" / "x").symlink_to(tree.parent / "outside")


def directory_loop(tree: Path) -> None:
    (tree / "sub" / "x").symlink_to(tree)


def link_to_nothing(tree: Path) -> None:
    (tree / "sub" / "x").symlink_to("nowhere")


def fifo(tree: Path) -> None:
    os.mkfifo(tree / "sub" / "x")


def listening_socket(tree: Path) -> None:
    # A socket's name has at most 104 bytes, so it is named from where it is.
    before = Path.cwd()
    os.chdir(tree / "sub")
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("x")
    finally:
        os.chdir(before)


def sparse_file(tree: Path) -> None:
    with (tree / "sub" / "x").open("wb") as file:
        file.truncate(10 << 30)


def hard_link_to_a_secret(tree: Path) -> None:
    (tree / "sub" / "x").hardlink_to(tree.parent / "shadow")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (link_to_a_file, "is a link"),
        (link_to_a_directory, "is a link"),
        (directory_loop, "is a link"),
        (link_to_nothing, "is a link"),
        (fifo, "is a FIFO"),
        (listening_socket, "is a socket"),
        (sparse_file, "more than 1 MiB"),
        (hard_link_to_a_secret, "hard link to one outside"),
    ],
)
def test_a_tree_with_an_attackers_entry_is_refused_and_names_it(
    tree: Path, make: Callable[[Path], None], why: str
) -> None:
    assert [e.path for e in read_tree(tree, CONFIG_LIMITS, "template 'py'")] == ["config.yaml"]
    make(tree)
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        read_tree(tree, CONFIG_LIMITS, "template 'py'")
    said = str(caught.value)
    assert said.startswith("template 'py' cannot be used: it has ")
    assert "'sub/x'" in said
    assert str(tree.parent) not in said


def test_a_device_is_refused_before_it_is_opened() -> None:
    with pytest.raises(InvalidArgumentError, match="is a device"):
        read_tree(Path("/dev/pts"), CONFIG_LIMITS, "template 'py'")


def test_a_tree_that_is_itself_a_link_or_missing_is_refused_without_its_path(tree: Path) -> None:
    (tree.parent / "alias").symlink_to(tree)
    for name in ("alias", "missing", "shadow"):
        with pytest.raises(InvalidArgumentError, match=r"template 'py' cannot be read \(.*\); it has to be") as caught:
            read_tree(tree.parent / name, CONFIG_LIMITS, "template 'py'")
        assert str(tree.parent) not in str(caught.value)


def test_hard_links_that_stay_within_the_tree_are_two_files(tree: Path) -> None:
    (tree / "sub" / "copy").hardlink_to(tree / "config.yaml")
    found = read_tree(tree, CONFIG_LIMITS, "template 'py'")
    assert [(e.path, e.content) for e in found] == [("config.yaml", b"a: 1\n"), ("sub/copy", b"a: 1\n")]


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (TreeLimits(files=3, file_bytes=100, total_bytes=1000), "more than 3 files"),
        (TreeLimits(files=20, file_bytes=100, total_bytes=30), "in all"),
        (TreeLimits(files=20, file_bytes=4, total_bytes=1000), "has the file 'a' of more than"),
    ],
)
def test_a_tree_past_a_limit_is_refused(tmp_path: Path, limits: TreeLimits, why: str) -> None:
    for name in "abcdefgh":
        (tmp_path / name).write_bytes(b"12345")
    with pytest.raises(InvalidArgumentError, match=why):
        read_tree(tmp_path, limits, "template 'py'")


def test_directories_count_too_and_so_does_their_depth(tmp_path: Path) -> None:
    limits = TreeLimits(files=20, file_bytes=100, total_bytes=1000)
    (tmp_path / "wide").mkdir()
    for number in range(20):
        (tmp_path / "wide" / f"{number}").mkdir()
    with pytest.raises(InvalidArgumentError, match="more than 20 directories"):
        read_tree(tmp_path, limits, "template 'py'")
    (tmp_path / "deep" / "/".join("d" * 16)).mkdir(parents=True)
    with pytest.raises(InvalidArgumentError, match="nested more than 16 deep"):
        read_tree(tmp_path / "deep", limits, "template 'py'")


def test_a_directory_with_more_names_than_could_be_used_is_not_even_sorted(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}").touch()
    with pytest.raises(InvalidArgumentError, match="more than 9 files"):
        read_tree(tmp_path, TreeLimits(files=9, file_bytes=100, total_bytes=1000), "template 'py'")


def test_what_may_not_be_read_is_named(tree: Path) -> None:
    need_bubblewrap()
    (tree / "sub" / "x").write_text("x")
    (tree / "sub" / "x").chmod(0)
    # Without capabilities, since root reads everything.
    words = ["bwrap", "--unshare-user", "--cap-drop", "ALL", "--dev-bind", "/", "/", sys.executable, "-c", ASK]
    done = subprocess.run([*words, str(tree)], capture_output=True, text=True, check=True)
    assert done.stdout == "template 'py' cannot be used: it has 'sub/x', which ws-mcp may not read\n"


def test_a_racer_that_swaps_a_file_for_a_link_gets_no_foreign_byte_in(tree: Path) -> None:
    target, spare = tree / "sub" / "x", tree.parent / "spare"

    def swap() -> None:
        spare.write_bytes(b"mine")
        spare.replace(target)
        spare.symlink_to(tree.parent / "shadow")
        spare.replace(target)

    assert contents_during(tree, swap) == {b"a: 1\n", b"mine"}


def test_a_racer_that_swaps_a_directory_for_a_link_gets_no_foreign_byte_in(tree: Path) -> None:
    target, aside = tree / "sub", tree.parent / "aside"
    (target / "key").write_bytes(b"mine")

    def swap() -> None:
        target.rename(aside)
        target.symlink_to(tree.parent / "outside")
        target.unlink()
        aside.rename(target)

    assert contents_during(tree, swap) <= {b"a: 1\n", b"mine"}  # now and then the directory was just not there


def contents_during(tree: Path, swap: Callable[[], None]) -> set[bytes]:
    """All that was read while the racer ran, which met both whole and spoilt trees."""
    contents: set[bytes] = set()
    reasons: set[bool] = set()
    refused = read = 0
    with swapping(swap):
        end = time.monotonic() + RACE_S
        while not (read and refused and (min(read, refused) >= 300 or time.monotonic() > end)):
            try:
                contents |= {e.content for e in read_tree(tree, HOME_LIMITS, "template 'py'")}
                read += 1
            except InvalidArgumentError as error:
                reasons.add("link" in str(error) or "changed" in str(error))
                refused += 1
    assert reasons == {True}
    return contents
