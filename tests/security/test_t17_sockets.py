"""T17: the engine's socket, its data, our state and the system's own directories never reach a workspace."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from support.host_ground import allowing, said_in

from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.host.folders import open_file, open_folder

CLOSED = "holds, or is in, what no workspace may have"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory that the operator allows: the engine's socket and data and our state are in it, too."""
    root = tmp_path / "root"
    for name in ("project", "engine/run", "engine/data/volumes/x", "state/locks"):
        (root / name).mkdir(parents=True)
    before = Path.cwd()
    os.chdir(root / "engine" / "run")
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("docker.sock")
    finally:
        os.chdir(before)
    return root


def closed(root: Path) -> list[Path]:
    return [root / "engine" / "run" / "docker.sock", root / "engine" / "data", root / "state"]


@pytest.mark.parametrize(
    "name",
    [
        "",  # the root itself holds them all
        "engine",
        "engine/run",
        "engine/data",
        "engine/data/volumes/x",
        "state",
        "state/locks",
    ],
)
def test_a_folder_that_holds_or_is_in_a_closed_place_is_refused(root: Path, name: str) -> None:
    rules = allowing(root, closed=closed(root))
    assert open_folder(f"{root}/project", rules).path == f"{root}/project"
    with pytest.raises(ForbiddenError, match=CLOSED):
        open_folder(f"{root}/{name}".rstrip("/"), rules)


@pytest.mark.parametrize(
    "path", ["/", "/proc", "/proc/self/fd", "/sys", "/dev", "/dev/shm", "/run", "/var/run", "/var"]
)
def test_the_systems_own_directories_are_refused_where_the_operator_allows_everything(path: str) -> None:
    with pytest.raises((ForbiddenError, InvalidArgumentError), match=f"{CLOSED}|is a link"):
        open_folder(path, allowing(Path("/")))


@pytest.mark.parametrize("path", ["/proc", "/sys", "/dev", "/run", "/var/run"])
def test_a_root_in_a_closed_place_opens_nothing(path: str) -> None:
    with pytest.raises(ForbiddenError, match=CLOSED):
        open_folder(path, allowing(Path(path)))


def test_a_closed_place_that_was_named_by_a_link_is_refused(root: Path) -> None:
    (root.parent / "other").symlink_to(root)
    elsewhere = [root.parent / "other" / "state"]
    for name in ("state", "state/locks", ""):
        with pytest.raises(ForbiddenError, match=CLOSED):
            open_folder(f"{root}/{name}".rstrip("/"), allowing(root, closed=elsewhere))


def test_a_closed_place_that_is_mounted_under_another_name_is_refused(root: Path) -> None:
    alias = root / "project" / "alias"
    alias.mkdir()
    assert "inode=" in said_in([], str(alias), str(root), f"{root}/state")
    assert CLOSED in said_in(["--bind", f"{root}/state", str(alias)], str(alias), str(root), f"{root}/state")
    # One that holds it, too: it leads to the same from above.
    assert CLOSED in said_in(["--bind", str(root), str(alias)], str(alias), str(root), f"{root}/state")
    assert CLOSED in said_in(["--bind", "/proc", str(alias)], str(alias), str(root))


def test_a_link_to_a_socket_is_refused(root: Path) -> None:
    (root / "project" / "docker.sock").symlink_to(root / "engine" / "run" / "docker.sock")
    with pytest.raises(InvalidArgumentError, match=r"docker\.sock' is a link"):
        open_folder(f"{root}/project/docker.sock", allowing(root))
    with pytest.raises(InvalidArgumentError, match=r"docker\.sock' is a link"):
        open_file(f"{root}/project/docker.sock", allowing(root))


def test_a_link_to_the_directory_of_a_socket_is_refused(root: Path) -> None:
    (root / "project" / "run").symlink_to(root / "engine" / "run")
    with pytest.raises(InvalidArgumentError, match="run' is a link"):
        open_folder(f"{root}/project/run", allowing(root, closed=closed(root)))


def test_a_socket_is_neither_a_folder_nor_a_file(root: Path) -> None:
    path = f"{root}/engine/run/docker.sock"
    with pytest.raises(InvalidArgumentError, match="is not a directory"):
        open_folder(path, allowing(root))
    with pytest.raises(InvalidArgumentError, match="is not a regular file"):
        open_file(path, allowing(root))
    with pytest.raises(ForbiddenError, match=CLOSED):
        open_file(path, allowing(root, closed=closed(root)))


def test_no_folder_is_given_while_the_engines_socket_has_a_second_name(root: Path) -> None:
    rules = allowing(root, closed=closed(root))
    second = root / "project" / "innocent"
    second.hardlink_to(root / "engine" / "run" / "docker.sock")
    with pytest.raises(ForbiddenError, match="second name of a socket that no workspace may have"):
        open_folder(f"{root}/project", rules)
    second.unlink()
    assert open_folder(f"{root}/project", rules)
