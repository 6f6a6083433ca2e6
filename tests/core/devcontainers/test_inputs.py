"""Files are read below the roots only, once, and without waiting."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from support.definition_ground import CONFIG, DOCKERFILE, Project, built
from support.host_ground import allowing

from ws_mcp.core.devcontainers.contexts import BYTES, DEPTH
from ws_mcp.core.devcontainers.inputs import TEXT_BYTES, Inputs, Look
from ws_mcp.core.devcontainers.port import DefinitionMissingError, UnreadableDefinitionError

LATER_NS = 10**18 * 4
OPENED: list[str] = []
LISTENING: list[str] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    # An audit hook stays for ever: it does nothing but for a test that listens.
    if LISTENING and event == "open" and str(arguments[0]).startswith(LISTENING[0]):
        OPENED.append(str(arguments[0]))


sys.addaudithook(_hear)


@pytest.fixture
def opened_below(tmp_path: Path) -> Generator[list[str]]:
    """What this process opens below the test's directory."""
    OPENED.clear()
    LISTENING.append(str(tmp_path))
    yield OPENED
    LISTENING.clear()


def settled(project: Project, kept: int = 1000) -> Project:
    """A project that was last changed long ago."""
    project.inputs = Inputs(allowing(project.folder), now_ns=lambda: LATER_NS, kept=kept)
    return project


def test_what_did_not_change_is_not_read_again(tmp_path: Path, opened_below: list[str]) -> None:
    project = settled(built(tmp_path))
    before = project.look()
    opened_below.clear()
    assert project.look() == before
    assert opened_below == []
    project.write("requirements.txt", "other")
    opened_below.clear()
    project.look()
    assert opened_below == [str(tmp_path / "requirements.txt")]


def test_a_file_that_was_just_changed_is_read_again_since_its_times_may_stay(
    tmp_path: Path, opened_below: list[str]
) -> None:
    project = built(tmp_path)
    before = project.look()
    opened_below.clear()
    assert project.look() == before
    assert str(tmp_path / "requirements.txt") in opened_below


def test_few_kept_results_only_cost_time(tmp_path: Path) -> None:
    project = built(tmp_path)
    before = project.look()
    assert settled(project, kept=2).look() == before
    assert project.look() == before


def test_nobody_writes_a_definition_that_large(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(CONFIG, " " * (TEXT_BYTES + 1))
    with pytest.raises(UnreadableDefinitionError, match="it is larger than 1 MiB"):
        project.look()


def test_a_file_that_is_large_is_not_read_and_named(tmp_path: Path) -> None:
    project = built(tmp_path)
    with (tmp_path / "requirements.txt").open("wb") as file:
        file.truncate(BYTES + 1)
    found = project.look()
    assert found.untracked == ("requirements.txt (more than 2,000 files or 32 MiB)",)
    assert "ctx/src/main.py" in found.parts


def test_a_feature_that_is_large_or_elsewhere_is_named(tmp_path: Path) -> None:
    project = built(tmp_path / "project")
    (tmp_path / "other").mkdir()
    with (project.folder / ".devcontainer/tool/install.sh").open("wb") as file:
        file.truncate(BYTES + 1)
    project.set(features={"./tool": {}, "../../other": {}})
    assert project.look().untracked == (
        "feature ./tool (more than 2,000 files or 32 MiB)",
        "feature ../../other (it leads out of what may be read)",
    )


def test_a_tree_without_an_end_is_named(tmp_path: Path) -> None:
    project = built(tmp_path)
    project.write(f"src/{'/'.join('d' * (DEPTH + 1))}/x", "")
    assert project.look().untracked == ("src (more than 2,000 files or 32 MiB)",)


def test_a_source_with_wildcards_brings_in_what_matches_and_is_not_left_out(tmp_path: Path) -> None:
    project = built(tmp_path)
    for path in ("a1.txt", "a2.txt", ".a.txt", "x/one/a.py", "x/two/a.py", "x/two/b.py", "x/file"):
        project.write(path, "")
    project.write(".dockerignore", "a2.txt\nnone\n")
    project.write(DOCKERFILE, "FROM x\nCOPY *.txt x/*/a.py none z* a2.txt /\n")
    ctx = {part for part in project.look().parts if part.startswith("ctx/")}
    assert ctx == {f"ctx/{path}" for path in ("a1.txt", ".a.txt", "x/one/a.py", "x/two/a.py", "requirements.txt")}
    before = project.look()
    project.write("none", "")
    assert project.reasons_since(before) == ()


def test_directories_that_lead_out_of_the_context_are_not_gone_through(tmp_path: Path) -> None:
    project = built(tmp_path / "project")
    (tmp_path / "secret").write_text("")
    (project.folder / "way").symlink_to(tmp_path)
    project.write(DOCKERFILE, "FROM x\nCOPY way/* /\nCOPY src /\n")
    found = project.look()
    assert found.untracked == ("way/* (it leads out of what may be read)",)
    assert "ctx/src/main.py" in found.parts
    project.write(DOCKERFILE, "FROM x\nCOPY way /\n")
    assert [part for part in project.look().parts if part.startswith("ctx/")] == ["ctx/way"]


def test_a_context_is_not_left_for_another_directory_of_the_same_folder(tmp_path: Path) -> None:
    project = built(tmp_path)
    project.write("context/file", "")
    (tmp_path / "context" / "way").symlink_to("../src")
    project.write(DOCKERFILE, "FROM x\nCOPY way/main.py file/* /\n")
    project.set(build={"dockerfile": "Dockerfile", "context": "../context"})
    found = project.look()
    assert found.untracked == ("context/way/main.py (it leads out of what may be read)",)
    assert not any(part.startswith("ctx/") for part in found.parts)


def test_links_in_a_circle_and_into_nothing_end(tmp_path: Path) -> None:
    project = built(tmp_path)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("/etc/passwd")
    project.write(DOCKERFILE, "FROM x\nCOPY a c d /\n")
    ctx = {part for part in project.look().parts if part.startswith("ctx/")}
    assert ctx == {"ctx/a", "ctx/b", "ctx/c"}


def test_a_link_to_a_directory_brings_it_in(tmp_path: Path) -> None:
    project = built(tmp_path)
    (tmp_path / "way").symlink_to("src")
    project.write(DOCKERFILE, "FROM x\nCOPY way /\n")
    assert "ctx/src/main.py" in project.look().parts


def test_sockets_and_pipes_are_left_out_and_nothing_waits_for_them(tmp_path: Path) -> None:
    project = built(tmp_path)
    os.mkfifo(tmp_path / "src" / "pipe")
    assert "ctx/src/pipe" not in project.look().parts
    status = (tmp_path / "src" / "pipe").stat()
    assert project.inputs.digest(str(tmp_path / "src" / "pipe"), status) == "unreadable"
    assert project.inputs.digest(str(tmp_path / "src" / "none"), status) == "unreadable"


def test_what_is_closed_is_not_read_also_below_a_root(tmp_path: Path) -> None:
    project = built(tmp_path)
    project.inputs = Inputs(allowing(tmp_path, closed=[tmp_path / ".devcontainer"]))
    with pytest.raises(DefinitionMissingError):
        project.look()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_says_so(tmp_path: Path) -> None:
    project = built(tmp_path)
    (tmp_path / CONFIG).chmod(0)
    with pytest.raises(UnreadableDefinitionError, match="ws-mcp may not read it"):
        project.look()


def test_a_look_knows_the_newest_file(tmp_path: Path) -> None:
    project = built(tmp_path)
    os.utime(tmp_path / "src" / "main.py", (4e9, 4e9))
    found = project.look()
    assert found.newest == "src/main.py"
    assert found.newest_at is not None
    assert found.newest_at.timestamp() == 4e9
    assert Look(str(tmp_path)).newest_at is None
