"""Which definitions are found below the operator's roots."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_mcp.core.devcontainers.discovery import DEPTH, ENTRIES, Walk

DIRECTORY = ".devcontainer/devcontainer.json"
FILE = ".devcontainer.json"


def put(root: Path, *paths: str, text: str = "") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def found(root: Path, home: Path | None = None, closed: tuple[str, ...] = (), entries: int = ENTRIES) -> list[str]:
    keys = list(Walk(str(root), str(home or root / "no-home"), closed, entries).find())
    for key in keys:
        assert Path(key.config).is_relative_to(key.folder)
    return sorted(str(Path(key.config).relative_to(root)) for key in keys)


def test_three_places_of_each_folder_are_looked_at(tmp_path: Path) -> None:
    put(tmp_path, DIRECTORY, FILE, ".devcontainer/one/devcontainer.json", ".devcontainer/one/two/devcontainer.json")
    put(tmp_path, f"a/b/{DIRECTORY}", f"a/c/{FILE}", "a/devcontainer.json", "one/devcontainer.json")
    assert found(tmp_path) == [
        FILE, DIRECTORY, ".devcontainer/one/devcontainer.json", f"a/b/{DIRECTORY}", f"a/c/{FILE}",
    ]  # fmt: skip


def test_a_folder_is_the_project_not_the_directory_of_its_definition(tmp_path: Path) -> None:
    put(tmp_path, f"a/{DIRECTORY}", "a/.devcontainer/x/devcontainer.json")
    assert {key.folder for key in Walk(str(tmp_path), "").find()} == {str(tmp_path / "a")}


@pytest.mark.parametrize("name", [".bak", ".old", "~", ".swp"])
def test_names_that_only_look_alike_are_no_definitions(tmp_path: Path, name: str) -> None:
    put(
        tmp_path,
        f"{DIRECTORY}{name}",
        f"{FILE}{name}",
        f".devcontainer{name}/devcontainer.json",
        "notdevcontainer.json",
    )
    assert found(tmp_path) == []


def test_a_directory_without_anything_is_no_error(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert found(tmp_path / "none") == []


def test_what_dependencies_bring_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, f"node_modules/a/{DIRECTORY}", f".venv/{DIRECTORY}", f".git/{DIRECTORY}", f"a/node_modules/b/{FILE}")
    assert found(tmp_path) == []


def test_what_git_ignores_is_left_out_also_by_nested_rules(tmp_path: Path) -> None:
    put(tmp_path, ".git/HEAD", DIRECTORY, f"build/{DIRECTORY}", f"a/build/{FILE}", f"a/out/{FILE}", f"b/out/{FILE}")
    put(tmp_path, ".gitignore", text="/build/\n*.json.bak\n")
    put(tmp_path, "a/.gitignore", text="out\n")
    put(tmp_path, f"c/{FILE}", f"c/{DIRECTORY}")
    put(tmp_path, "c/.gitignore", text=".devcontainer.json\n")
    assert found(tmp_path) == [DIRECTORY, f"a/build/{FILE}", f"b/out/{FILE}", f"c/{DIRECTORY}"]


def test_a_nested_rule_brings_back_what_an_outer_one_left_out(tmp_path: Path) -> None:
    put(tmp_path, f"a/out/{FILE}", f"b/out/{FILE}")
    put(tmp_path, ".gitignore", text="out\n")
    put(tmp_path, "a/.gitignore", text="!out\n")
    assert found(tmp_path) == [f"a/out/{FILE}"]


def test_the_excludes_of_a_repository_and_of_the_person_count(tmp_path: Path) -> None:
    root, home = tmp_path / "root", tmp_path / "home"
    put(root, ".git/HEAD", f"a/{FILE}", f"b/{FILE}", f"c/{FILE}")
    put(root, ".git/info/exclude", text="/a\n")
    put(home, ".gitconfig", text="[user]\n\tname = x\n[core]\n\tpager = less\n\texcludesFile = ~/mine\n[alias]\n")
    put(home, "mine", text="b\n")
    assert found(root, home) == [f"c/{FILE}"]
    (home / ".gitconfig").unlink()
    assert found(root, home) == [f"b/{FILE}", f"c/{FILE}"]
    put(home, ".config/git/ignore", text="c\n")
    assert found(root, home) == [f"b/{FILE}"]


def test_a_repository_in_another_one_has_rules_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, ".git/HEAD", f"in/out/{FILE}", f"sub/out/{FILE}", "in/.git/HEAD")
    put(tmp_path, "sub/.git", text="gitdir: elsewhere")
    put(tmp_path, ".gitignore", text="out\n")
    assert found(tmp_path) == [f"in/out/{FILE}", f"sub/out/{FILE}"]


def test_the_rules_of_the_repository_that_a_root_is_in_count(tmp_path: Path) -> None:
    root = tmp_path / "repository" / "packages" / "web"
    put(tmp_path, ".gitignore", text="web\n")
    put(tmp_path / "repository", ".git/HEAD", text="")
    put(tmp_path / "repository", ".gitignore", text="out\n/packages/web/dist\n/other\n")
    put(tmp_path / "repository", ".git/info/exclude", text="/packages/web/mine\n")
    put(tmp_path / "repository", "packages/.gitignore", text="!/web/kept/out\n")
    put(root, FILE, *(f"{name}/{FILE}" for name in ("out", "kept/out", "dist", "mine", "other")))
    assert found(root) == [FILE, f"kept/out/{FILE}", f"other/{FILE}"]


@pytest.mark.parametrize("rule", ["*", "/src", "src/web/", "/src/*"])
def test_a_root_that_its_repository_leaves_out_is_searched_without_its_rules(tmp_path: Path, rule: str) -> None:
    put(tmp_path, ".git/HEAD", text="")
    put(tmp_path, ".gitignore", text=f"{rule}\nout\n")
    put(tmp_path / "src" / "web", FILE, f"out/{FILE}")
    assert found(tmp_path / "src" / "web") == [FILE, f"out/{FILE}"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    put(other, DIRECTORY, FILE)
    root.mkdir()
    (root / "way").symlink_to(other)
    (root / ".devcontainer").symlink_to(other / ".devcontainer")
    (root / FILE).symlink_to(other / FILE)
    (root / "loop").symlink_to(root)
    assert found(root) == []


def test_closed_directories_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, f"a/{FILE}", f"b/{FILE}")
    assert found(tmp_path, closed=(str(tmp_path / "a"),)) == [f"b/{FILE}"]


def test_the_walk_ends_at_its_depth_and_at_its_budget(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deep = "/".join("d" * (DEPTH + 1))
    put(tmp_path, f"{deep}/{FILE}", f"{deep[:-2]}/{FILE}")
    assert found(tmp_path) == [f"{deep[:-2]}/{FILE}"]
    assert found(tmp_path, entries=3) == []
    assert "ended after 3 entries" in caplog.text


@given(text=st.text(alphabet='[core]\n=~/" excludesFile', max_size=60))
def test_any_text_may_be_in_the_persons_settings(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    home = tmp_path_factory.mktemp("home")
    put(home, ".gitconfig", text=text)
    put(home, f"a/{FILE}")
    assert len(found(home, home)) <= 1
