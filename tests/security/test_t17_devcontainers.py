"""T17 for dev containers: what no workspace may have, no definition gets either, by whatever name, allowed or not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import anyio.lowlevel
import pytest
from support.devcontainer_values import container
from support.fake_engine import FakeEngine
from support.fake_world import INFO

from ws_mcp.core.devcontainers.allowances import allowances_of
from ws_mcp.core.devcontainers.model import Key, Kind, Record
from ws_mcp.core.devcontainers.policing import Policing
from ws_mcp.core.devcontainers.port import Definition
from ws_mcp.core.engine.model import BindMount, EngineInfo
from ws_mcp.core.errors import ForbiddenError

pytestmark = pytest.mark.usefixtures("real_io")
CLOSED = "what no workspace may have"


class EngineAt(FakeEngine):
    """An engine that listens at a socket of this machine."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__()
        self._socket = socket_path

    async def info(self) -> EngineInfo:
        await anyio.lowlevel.checkpoint()
        return replace(INFO, endpoint=f"unix://{self._socket}")


def listen(path: Path) -> None:
    """A socket of somebody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A root that has projects, the state and the directory of the engine's socket."""
    home = tmp_path / "home"
    for name in ("src/app/.devcontainer", "src/lib", "state/locks"):
        (home / name).mkdir(parents=True)
    listen(home / "engine" / "default" / "docker.sock")
    return home


def policing(home: Path, *words: str) -> Policing:
    """The police of an operator who allows all of it, as far as he can."""
    engine = EngineAt(home / "engine" / "default" / "docker.sock")
    return Policing(engine, allowances_of(words, (str(home),), {}), (home / "state",))


def definition(folder: Path, properties: Mapping[str, object]) -> Definition:
    key = Key(folder=str(folder), config=f"{folder}/.devcontainer/devcontainer.json")
    return Definition(key=key, kind=Kind.IMAGE, text="", properties=properties)


ASKS: list[Callable[[str], Mapping[str, object]]] = [
    lambda path: {"image": "x", "mounts": [f"type=bind,source={path},target=/s"]},
    lambda path: {"image": "x", "mounts": [{"type": "bind", "source": path, "target": "/s"}]},
    lambda path: {"image": "x", "runArgs": ["-v", f"{path}:/s:ro"]},
    lambda path: {"image": "x", "runArgs": [f"--mount=type=bind,src={path},dst=/s"]},
    lambda path: {"image": "x", "workspaceMount": f"type=bind,source={path},target=/w", "workspaceFolder": "/w"},
]
PLACES = (
    "state",  # the place itself
    "state/locks",  # what is in it
    "state/not-yet",
    "engine/default",  # what holds one
    "engine/default/docker.sock",
    ".",
)


@pytest.mark.parametrize("ask", ASKS, ids=["mounts", "an object", "-v", "--mount", "workspaceMount"])
@pytest.mark.parametrize("place", PLACES)
async def test_no_word_of_a_definition_mounts_a_closed_place(
    home: Path, ask: Callable[[str], Mapping[str, object]], place: str
) -> None:
    path = str(home / place)
    asked = definition(home / "src" / "app", ask(path))
    with pytest.raises(ForbiddenError, match=CLOSED) as refused:
        await policing(home, f"mount:{path}", f"mount:{home}").check_definition("app", asked)
    assert "nothing allows it" in str(refused.value)
    await policing(home).check_definition("app", definition(home / "src" / "app", ask(str(home / "src" / "lib"))))


@pytest.mark.parametrize(
    "build",
    [
        {"dockerfile": "Dockerfile", "context": "../../../state"},
        {"dockerfile": "Dockerfile", "context": "../../.."},
        {"dockerfile": "../../../state/Dockerfile", "context": "."},
        {"dockerfile": "../../../Dockerfile"},  # whose directory is the context
    ],
)
async def test_nothing_of_a_closed_place_gets_into_an_image(home: Path, build: Mapping[str, str]) -> None:
    with pytest.raises(ForbiddenError, match=CLOSED):
        await policing(home).check_definition("app", definition(home / "src" / "app", {"build": build}))
    await policing(home).check_definition("app", definition(home / "src" / "app", {"build": {"context": "../../lib"}}))


async def test_a_folder_that_holds_a_closed_place_has_no_dev_container(home: Path) -> None:
    with pytest.raises(ForbiddenError, match=f"the folder .*{CLOSED}"):
        await policing(home).check_definition("home", definition(home, {"image": "x"}))


async def test_the_repository_that_a_folder_is_in_is_not_mounted_if_it_holds_a_closed_place(home: Path) -> None:
    asked = definition(home / "src" / "app", {"image": "x"})
    for path, is_closed in ((home, True), (home / "src", False)):
        mount = f"type=bind,source={path},target=/workspaces/{path.name}"
        answer = {"mergedConfiguration": {"image": "x"}, "workspace": {"workspaceMount": mount}}
        if is_closed:
            with pytest.raises(ForbiddenError, match=CLOSED):
                await policing(home).check_merged("app", asked, answer, ())
        else:
            await policing(home).check_merged("app", asked, answer, ())


async def test_a_link_or_a_second_name_of_a_closed_place_is_one(home: Path) -> None:
    (home / "src" / "link").symlink_to(home / "state")
    asked = definition(home / "src" / "app", ASKS[0](str(home / "src" / "link")))
    with pytest.raises(ForbiddenError, match=CLOSED):
        await policing(home).check_definition("app", asked)
    second = home / "src" / "lib" / "innocent"
    second.hardlink_to(home / "engine" / "default" / "docker.sock")
    asked = definition(home / "src" / "app", ASKS[0](str(home / "src" / "lib")))
    with pytest.raises(ForbiddenError, match=CLOSED):
        await policing(home).check_definition("app", asked)


async def test_a_socket_by_any_name_is_not_mounted(home: Path) -> None:
    listen(home / "src" / "lib" / "innocent")
    path = home / "src" / "lib" / "innocent"
    with pytest.raises(ForbiddenError, match="somebody's socket"):
        await policing(home, f"mount:{path}").check_definition(
            "app", definition(home / "src" / "app", ASKS[0](str(path)))
        )


@pytest.mark.parametrize("place", PLACES)
async def test_a_container_that_has_a_closed_place_gets_no_execd(home: Path, place: str) -> None:
    folder = home / "src" / "app"
    key = Key(folder=str(folder), config=f"{folder}/.devcontainer/devcontainer.json")
    own = BindMount(source=key.folder, target="/workspaces/app")
    other = BindMount(source=os.fspath(home / place), target="/s")
    made = container(mounts=(own, other))
    record = Record(container=made.id, key=key, parts={})
    with pytest.raises(ForbiddenError, match=CLOSED):
        await policing(home, f"mount:{home}").clear(made, record)
    assert await policing(home).clear(container(mounts=(own,)), record)
