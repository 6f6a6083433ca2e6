"""Whether what a build reads is still what was checked: where its paths lead, and what is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ws_mcp.core.devcontainers.definition import definition_of
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.moorings import Moorings, moorings_of, paths_of
from ws_mcp.core.devcontainers.port import Definition
from ws_mcp.core.devcontainers.recreate_plan import anchored

pytestmark = pytest.mark.usefixtures("real_io")
BUILD: Mapping[str, object] = {"build": {"dockerfile": "Dockerfile", "context": "../src"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "shop"
    for directory in (".devcontainer/tool", "src", "other"):
        (folder / directory).mkdir(parents=True)
    (folder / ".devcontainer/Dockerfile").write_text("FROM a")
    (folder / ".devcontainer/devcontainer.json").write_text("{}")
    return folder


def definition(folder: Path, properties: Mapping[str, object]) -> Definition:
    key = Key(folder=str(folder), config=str(folder / ".devcontainer/devcontainer.json"))
    return definition_of(key, json.dumps(properties))


async def after(folder: Path, act: Callable[[], object]) -> tuple[Moorings, Moorings]:
    read = definition(folder, BUILD)
    before = await moorings_of(read)
    act()
    return before, await moorings_of(read)


def swap(path: Path, target: Path) -> None:
    path.rename(path.with_name("away"))
    path.symlink_to(target)


async def test_what_nobody_touches_is_as_it_was(folder: Path) -> None:
    before, now = await after(folder, lambda: (folder / "src" / "new").write_text("a file in the context"))
    assert before == now


async def test_a_context_that_becomes_a_link_or_another_directory_has_moved(folder: Path) -> None:
    before, now = await after(folder, lambda: swap(folder / "src", Path("/etc")))
    assert before.moved(now) == ("src",)
    (folder / "src").unlink()
    (folder / "src").mkdir()
    assert before.moved(await moorings_of(definition(folder, BUILD))) == ("src",)
    (folder / "src").rmdir()
    assert before.moved(await moorings_of(definition(folder, BUILD))) == ("src",)


async def test_a_dockerfile_that_becomes_a_link_has_moved(folder: Path) -> None:
    before, now = await after(folder, lambda: swap(folder / ".devcontainer/Dockerfile", Path("/etc/passwd")))
    assert before.moved(now) == (".devcontainer/Dockerfile",)


async def test_a_file_that_is_saved_has_not_moved_and_is_another_also_when_it_comes_back(folder: Path) -> None:
    file = folder / ".devcontainer/Dockerfile"

    def there_and_back() -> None:
        swap(file, Path("/etc/passwd"))
        file.unlink()
        file.with_name("away").rename(file)

    before, now = await after(folder, there_and_back)
    assert before.moved(now) == ()
    assert before != now


def test_all_that_a_definition_names_is_looked_at(folder: Path) -> None:
    composed = {"dockerComposeFile": ["compose.yaml", "../more.yaml"], "service": "app"}
    assert list(paths_of(definition(folder, composed))) == [
        ".",
        ".devcontainer/devcontainer.json",
        ".devcontainer/compose.yaml",
        "more.yaml",
    ]
    built = {"build": {"dockerfile": "../docker/Dockerfile"}, "features": {"./tool": {}, "ghcr.io/a/b:1": {}}}
    assert list(paths_of(definition(folder, built)))[2:] == ["docker/Dockerfile", "docker", ".devcontainer/tool"]
    assert len(paths_of(definition(folder, {"build": {"dockerfile": "${localEnv:A}/x", "context": "."}}))) == 3


def test_a_copy_for_a_build_names_absolute_paths(folder: Path) -> None:
    built = anchored(definition(folder, {**BUILD, "name": "a"}))
    paths = {"dockerfile": f"{folder}/.devcontainer/Dockerfile", "context": f"{folder}/src"}
    assert built == {"name": "a", "build": paths}
    composed = anchored(definition(folder, {"dockerComposeFile": "${localWorkspaceFolder}/a.yaml", "service": "b"}))
    assert composed == {"dockerComposeFile": [f"{folder}/a.yaml"], "service": "b"}
    assert anchored(definition(folder, {"image": "a"})) == {"image": "a"}


@pytest.mark.parametrize(
    "properties",
    [
        {"image": "a", "features": {"./tool": {}}},
        {"build": {"dockerfile": "${localEnv:WHERE}/Dockerfile"}},
        {"dockerComposeFile": ["a.yaml", "${localEnv:WHERE}/b.yaml"], "service": "b"},
    ],
)
def test_what_is_found_beside_a_definition_only_is_built_from_there(
    folder: Path, properties: Mapping[str, object]
) -> None:
    assert anchored(definition(folder, properties)) is None
