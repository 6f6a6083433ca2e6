"""The verdict about edits held against the truth of containers that are made before and after: no false alarm, none
missed. Each edit is judged alone; what they really change is read from two containers for all of them.
"""

from __future__ import annotations

import json

import anyio
import pytest
from support.dev_projects import CONFIG, Project, Projects, container_of, listed, recreate, texts_of
from support.devcontainer_ground import DevcontainerGround
from support.edit_truth import Edit, changed, facets_of, instead
from support.images import BUSYBOX
from support.peers import Peer

from ws_mcp.core.devcontainers.jsonc import object_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS tools
RUN mkdir /truth && echo one > /truth/run
FROM tools AS unused
COPY unused.txt /
FROM tools
ARG COLOUR=red
RUN echo $COLOUR > /truth/arg; cp /etc/base /truth/base
COPY requirements.txt /truth/copied
COPY scripts/ /scripts/
RUN cat /scripts/a.sh > /truth/script; ls -l /scripts/a.sh | cut -c 1-10 > /truth/mode; ls /scripts > /truth/names
"""
INSTALL = '#!/bin/sh\necho "$DEPTH" > /truth/depth\necho first > /truth/installed\n'
IN = ".devcontainer"
DOCKER = f"{IN}/Dockerfile"
PAINT = f"{IN}/paint"


def set_in(**properties: object) -> Edit:
    """A property of the definition that has no effect on a container."""
    return Edit(path=CONFIG, change=lambda text: json.dumps({**object_of(text, CONFIG), **properties}))


def counted(name: str, value: object, facet: str, reason: str = "") -> Edit:
    """A property of the definition that a container is made from."""
    edit = set_in(**{name: value})
    return Edit(path=CONFIG, change=edit.change, reason=reason or f"{name} added", facet=facet)


def commented(text: str) -> str:
    """The same definition as a person would write it."""
    members = ",\n".join(f"  /* why */ {json.dumps(k)}: {json.dumps(v)}" for k, v in reversed(json.loads(text).items()))
    return f"// The dev container\n{{\n{members}, }}\n"


def executable(mode: int) -> object:
    return lambda project: (project.folder / "scripts/a.sh").chmod(mode)


def base(number: int) -> object:
    return lambda project: project.instance.docker("tag", f"{project.name}-{number}:1", f"{project.name}-base:1")


HARMLESS = (
    Edit(path=CONFIG),
    Edit(path=CONFIG, change=commented),
    set_in(name="Shop"),
    set_in(remoteEnv={"A": "b"}),
    set_in(customizations={"vscode": {"extensions": ["x.y"]}}),
    set_in(forwardPorts=[3000]),
    set_in(portsAttributes={"3000": {"label": "web"}}),
    set_in(postAttachCommand="true"),
    set_in(shutdownAction="none"),
    set_in(waitFor="onCreateCommand"),
    set_in(mounts=[]),
    Edit(path=DOCKER),
    Edit(path=DOCKER, change=lambda text: f"# why\n\n{text}"),
    Edit(path=DOCKER, change=instead("&& echo one", "\\\n   && echo one")),
    Edit(path=DOCKER, change=instead("COPY unused.txt /", "COPY unused.txt /elsewhere")),
    Edit(path="unused.txt", change=instead("none", "nothing")),
    Edit(path="requirements.txt"),
    Edit(path="scripts/a.sh"),
    Edit(path="scripts/new.log", change=lambda _: "ignored"),
    Edit(path="src/main.py", change=lambda _: "print()"),
    Edit(path=f"{IN}/README.md", change=lambda _: "read me"),
    Edit(path=f"{PAINT}/install.sh"),
)
COUNTED = (
    Edit(path=DOCKER, change=instead("echo one", "echo two"), reason=f"{DOCKER} changed", facet="file run"),
    Edit(
        path="requirements.txt", change=instead("a==1", "a==2"), reason="requirements.txt changed", facet="file copied"
    ),
    Edit(path="scripts/a.sh", change=instead("a", "b"), reason="scripts/a.sh changed", facet="file script"),
    Edit(
        path="",
        act=executable(0o755),  # pyright: ignore[reportArgumentType]
        undo=executable(0o644),  # pyright: ignore[reportArgumentType]
        reason="scripts/a.sh changed",
        facet="file mode",
    ),
    Edit(path="scripts/new.sh", change=lambda _: "new", reason="scripts/new.sh added", facet="file names"),
    Edit(
        path="",
        act=base(2),  # pyright: ignore[reportArgumentType]
        undo=base(1),  # pyright: ignore[reportArgumentType]
        reason="base image updated",
        facet="file base",
    ),
    Edit(path=CONFIG, change=instead('"red"', '"blue"'), reason="build.args changed", facet="file arg"),
    Edit(path=CONFIG, change=instead('"4"', '"5"'), reason="options of feature ./paint changed", facet="file depth"),
    Edit(
        path=f"{PAINT}/install.sh",
        change=instead("first", "second"),
        reason="feature ./paint changed",
        facet="file installed",
    ),
    counted("containerEnv", {"TEAM": "red"}, "env TEAM"),
    counted("mounts", ["type=tmpfs,target=/scratch"], "mount /scratch"),
    counted("runArgs", ["--shm-size=32m"], "host ShmSize"),
    counted("init", True, "host Init"),
    counted("appPort", ["127.0.0.1:0:3000"], "host PortBindings"),
    counted("onCreateCommand", "echo made > /truth/made", "file made"),
    counted("postStartCommand", "echo started > /truth/started", "file started"),
)

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
COMPOSE_HARMLESS = (
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
COMPOSE_COUNTED = (
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


async def check_verdicts(peer: Peer, project: Project, edits: tuple[Edit, ...]) -> None:
    """That each alone is judged as it should be, and that taken back it was never there."""
    wrong: list[str] = []
    for edit in edits:
        undo = edit.do(project)
        found = await listed(peer, project.name)
        reasons = texts_of(found, "reasons")
        wanted = [edit.reason] if edit.reason else []
        is_right = len(reasons) == len(wanted) and all(r.startswith(w) for r, w in zip(reasons, wanted, strict=True))
        if not is_right or found["dirty"] != ("dirty" if wanted else "clean"):
            wrong.append(f"{edit.path} {edit.facet}: {found['dirty']} {reasons}, wanted {wanted}")
        undo()
    assert wrong == []
    assert (await listed(peer, project.name))["dirty"] == "clean"


async def check_truth(peer: Peer, project: Project, harmless: tuple[Edit, ...], counts: tuple[Edit, ...]) -> None:
    """That those that are judged harmless change nothing in a container, and of the others each what it should."""
    made = container_of(await recreate(peer, name=project.name))
    await check_verdicts(peer, project, (*harmless, *counts))
    first = facets_of(project, made)
    for edit in harmless:
        edit.do(project)
    assert (await listed(peer, project.name))["dirty"] == "clean"
    again = container_of(await recreate(peer, name=project.name, force=True))
    assert again != made
    second = facets_of(project, again)
    assert changed(first, second) == set()
    for edit in counts:
        edit.do(project)
    answer = await recreate(peer, name=project.name)
    assert len(texts_of(answer, "reasons")) == len({edit.reason for edit in counts})
    assert changed(second, facets_of(project, container_of(answer))) == {edit.facet for edit in counts}


async def test_each_edit_of_a_dockerfile_and_a_feature_is_judged_as_it_turns_out(
    projects: Projects, devcontainer_ground: DevcontainerGround
) -> None:
    project = projects.project()
    userland = await devcontainer_ground.make_userland()
    for number in (1, 2):
        project.write(f"base/{number}/Dockerfile", f"FROM {userland}\nRUN echo {number} > /etc/base\n")
        directory = str(project.folder / "base" / str(number))
        project.instance.docker("build", "--quiet", "--tag", f"{project.name}-{number}:1", directory)
    project.instance.docker("tag", f"{project.name}-1:1", f"{project.name}-base:1")
    project.write(DOCKER, DOCKERFILE)
    for path, text in {
        "requirements.txt": "a==1\n",
        "unused.txt": "none",
        "scripts/a.sh": "a",
        ".dockerignore": "*.log\nscripts/*.log\n",
    }.items():
        project.write(path, text)
    option = {"depth": {"type": "string", "default": "1"}}
    feature = {"id": "paint", "version": "1.0.0", "name": "Paint", "options": option}
    project.write(f"{PAINT}/devcontainer-feature.json", json.dumps(feature))
    project.write(f"{PAINT}/install.sh", INSTALL)
    build = {"dockerfile": "Dockerfile", "context": "..", "args": {"COLOUR": "red", "BASE": f"{project.name}-base:1"}}
    project.define(build=build, features={"./paint": {"depth": "4"}})
    with anyio.fail_after(280):
        async with projects.open_peer() as peer:
            await check_truth(peer, project, HARMLESS, COUNTED)


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
            await check_truth(peer, project, COMPOSE_HARMLESS, COMPOSE_COUNTED)
