"""The verdict about edits of a compose project held against the truth: no false alarm, none missed."""

from __future__ import annotations

import anyio
import pytest
from support.dev_projects import Projects
from support.edit_truth import Edit, check_truth, counted, instead, set_in
from support.images import BUSYBOX

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


async def test_each_edit_of_a_compose_project_is_judged_as_it_turns_out(compose_projects: Projects) -> None:
    project = compose_projects.project()
    project.write(YAML, COMPOSE)
    project.write(SECOND, "services:\n  app:\n    environment:\n      IN_SECOND: two\n")
    project.write(DOCKER, SERVICE)
    for path, text in {"app.env": "IN_ENV_FILE=one\n", ".env": "DOTENV=one\n", "copied.txt": "one\n"}.items():
        project.write(f"{IN}/{path}", text)
    files = ["compose.yaml", "second.yaml"]
    project.define(dockerComposeFile=files, service="app", workspaceFolder="/workspace")
    with anyio.fail_after(280):
        async with compose_projects.open_peer("--devcontainer-allow", "compose") as peer:
            await check_truth(peer, project, HARMLESS, COUNTED)
