"""Instances of ws-mcp on the real engine, each gone with its test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import browser_missing, open_browser
from support.dev_projects import Projects, open_projects
from support.devcontainer_ground import DevcontainerGround
from support.instances import Instance, open_instance
from support.peers import Peer
from support.real_engine import EngineGround

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest.fixture(scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """A server that the tests of a file share lives no longer than their event loop."""
    return str(request.param).partition("-")[0]


@pytest.fixture
def instance(engine_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """A fresh instance on the real engine; all that it made there is removed at the end."""
    with open_instance(tmp_path) as made:
        yield made


@pytest.fixture
def other_instance(engine_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """A second one on the same engine."""
    with open_instance(tmp_path / "other") as made:
        yield made


@pytest.fixture
def podman_instance(podman_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """A fresh instance on Podman."""
    with open_instance(tmp_path, podman_ground.address) as made:
        yield made


@pytest.fixture
def each_instance(each_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """A fresh instance, once on Docker and once on Podman where there is one."""
    with open_instance(tmp_path, each_ground.address) as made:
        yield made


@pytest.fixture
def projects(instance: Instance, devcontainer_ground: DevcontainerGround, tmp_path: Path) -> Generator[Projects]:
    """A root of the operator's without projects, on the real engine."""
    with open_projects(instance, devcontainer_ground, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_projects(
    engine_ground: EngineGround, devcontainer_ground: DevcontainerGround, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Projects]:
    """One root for the tests of a file that need no server of their own; each has projects of its own."""
    directory = tmp_path_factory.mktemp("shared")
    with open_instance(directory) as instance, open_projects(instance, devcontainer_ground, directory) as made:
        yield made


@pytest.fixture(scope="module")
async def peer(shared_projects: Projects) -> AsyncGenerator[Peer]:
    """The server of that root."""
    async with shared_projects.open_peer() as made:
        yield made


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    """A real Chromium; without it its tests are deselected, in CI they fail."""
    if browser_missing():
        pytest.fail(f"{browser_missing()}; here (CI=true) that is a failure", pytrace=False)
    async with open_browser() as made:
        yield made
