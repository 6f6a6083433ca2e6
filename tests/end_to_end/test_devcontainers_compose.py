"""Dev containers of compose: their life, and the verdict about edits held against the truth."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator
from typing import cast

import anyio
import pytest
from support.dev_projects import Projects, listed, open_projects, recreate, texts_of
from support.devcontainer_ground import DevcontainerGround
from support.edit_truth import Edit, check_truth, counted, instead, set_in
from support.images import BUSYBOX
from support.instances import open_instance
from support.peers import Json, Peer
from support.real_engine import EngineGround
from support.tier_probe import output_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
IN = ".devcontainer"
DOCKER = f"{IN}/Dockerfile"
COMPOSE = f"""\
services:
  app:
    build:
      context: .
      dockerfile: Dockerfile
      args:
        COLOUR: red
    command: sleep 1000
    init: true
    environment:
      IN_FILE: one
      FROM_DOTENV: "${{DOTENV:-none}}"
    env_file: app.env
    volumes:
      - ..:/workspace
  db:
    image: {BUSYBOX}
    command: sleep 1000
    init: true
"""
SERVICE = f"""\
FROM {BUSYBOX}
ARG COLOUR
RUN mkdir /truth && echo one > /truth/run && echo $COLOUR > /truth/arg
COPY copied.txt /truth/copied
"""
YAML = f"{IN}/compose.yaml"
SECOND = f"{IN}/second.yaml"
HARMLESS = (
    Edit(path=YAML),
    Edit(path=YAML, change=lambda text: f"# why\n{text}\n"),
    Edit(
        path=YAML,
        change=instead("command: sleep 1000\n    init: true\n    env", "init: true\n    command: sleep 1000\n    env"),
    ),
    Edit(path=f"{IN}/app.env"),
    Edit(path=DOCKER, change=lambda text: f"# why\n{text}"),
    Edit(path=f"{IN}/copied.txt"),
    Edit(path=f"{IN}/other.txt", change=lambda _: "not copied"),
    Edit(path="README.md", change=lambda _: "read me"),
    set_in(name="Shop"),
    set_in(remoteEnv={"A": "b"}),
)
COUNTED = (
    Edit(path=YAML, change=instead("IN_FILE: one", "IN_FILE: two"), reason=f"{YAML} changed", facet="env IN_FILE"),
    Edit(path=YAML, change=instead("COLOUR: red", "COLOUR: blue"), reason=f"{YAML} changed", facet="file arg"),
    Edit(
        path=YAML,
        change=instead("- ..:/workspace", "- ..:/workspace\n      - /scratch"),
        reason=f"{YAML} changed",
        facet="mount /scratch",
    ),
    Edit(path=SECOND, change=instead("two", "three"), reason=f"{SECOND} changed", facet="env IN_SECOND"),
    Edit(
        path=f"{IN}/app.env",
        change=instead("=one", "=two"),
        reason=f"{IN}/app.env changed (used by compose)",
        facet="env IN_ENV_FILE",
    ),
    Edit(
        path=f"{IN}/.env",
        change=instead("=one", "=two"),
        reason=f"{IN}/.env changed (used by compose)",
        facet="env FROM_DOTENV",
    ),
    Edit(path=DOCKER, change=instead("echo one", "echo two"), reason=f"{DOCKER} changed", facet="file run"),
    Edit(path=f"{IN}/copied.txt", change=instead("one", "two"), reason=f"{IN}/copied.txt changed", facet="file copied"),
    counted("postCreateCommand", "echo made > /truth/made", "file made"),
)


@pytest.fixture(scope="module")
def compose_projects(
    engine_ground: EngineGround, devcontainer_ground: DevcontainerGround, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Projects]:
    """A root for both tests, where compose can be used."""
    directory = tmp_path_factory.mktemp("compose")
    with (
        open_instance(directory) as instance,
        open_projects(instance, devcontainer_ground, directory, has_compose=True) as made,
    ):
        yield made


@pytest.fixture(scope="module")
async def peer(compose_projects: Projects) -> AsyncGenerator[Peer]:
    """The server of that root."""
    async with compose_projects.open_peer("--devcontainer-allow", "compose") as made:
        yield made


@pytest.mark.long  # as those of test_devcontainers_matrix.py
async def test_each_edit_of_a_compose_project_is_judged_as_it_turns_out(compose_projects: Projects, peer: Peer) -> None:
    project = compose_projects.project()
    project.write(YAML, COMPOSE)
    project.write(SECOND, "services:\n  app:\n    environment:\n      IN_SECOND: two\n")
    project.write(DOCKER, SERVICE)
    for path, text in {"app.env": "IN_ENV_FILE=one\n", ".env": "DOTENV=one\n", "copied.txt": "one\n"}.items():
        project.write(f"{IN}/{path}", text)
    files = ["compose.yaml", "second.yaml"]
    project.define(dockerComposeFile=files, service="app", workspaceFolder="/workspace")
    with anyio.fail_after(280):
        await check_truth(peer, project, HARMLESS, COUNTED)


async def test_a_compose_project_is_one_dev_container_with_its_siblings(compose_projects: Projects, peer: Peer) -> None:
    project = compose_projects.project("siblings")
    service = {"image": BUSYBOX, "command": "sleep 1000", "init": True}
    services = {"app": {**service, "volumes": ["..:/workspace"]}, "db": service}
    project.write(".devcontainer/compose.json", json.dumps({"services": services}))
    project.define(dockerComposeFile="compose.json", service="app", workspaceFolder="/workspace")
    with anyio.fail_after(120):
        made = await recreate(peer, folder=str(project.folder))
        assert made["change"] == "created"
        found = await listed(peer, project.name)
        assert found["project"] == f"{project.name}_devcontainer"
        (sibling,) = cast("list[Json]", found["siblings"])
        assert (sibling["name"], sibling["state"]) == (f"{found['project']}-db-1", "running")
        assert await output_of(peer, "pwd; ls -a", project.name) == "/workspace\n.\n..\n.devcontainer"

        both = {f"{found['project']}-app-1", f"{found['project']}-db-1"}
        stopped = await peer.ok("stop_workspace", name=project.name)
        assert set(texts_of(stopped, "containers")) == both
        found = await listed(peer, project.name)
        assert (found["state"], cast("list[Json]", found["siblings"])[0]["state"]) == ("stopped", "exited")
        started = await recreate(peer, name=project.name)
        assert started["change"] == "started"
        found = await listed(peer, project.name)
        assert (found["state"], cast("list[Json]", found["siblings"])[0]["state"]) == ("running", "running")
        assert await output_of(peer, "pwd", project.name) == "/workspace"
        removed = await peer.ok("remove_workspace", name=project.name)
        assert set(texts_of(removed, "containers")) == both
        left = project.instance.docker("ps", "--all", "--format", "{{.Names}}").split()
        assert not both & set(left)
        assert f"{found['project']}_default" not in project.instance.docker("network", "ls").split()
