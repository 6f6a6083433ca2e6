"""The verdict about edits held against the truth of two containers, made before and after: no false alarm, none missed.

Each edit is judged alone; what they really change is read from two containers for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import pytest
from support.dev_projects import CONFIG, Project, Projects
from support.devcontainer_ground import DevcontainerGround
from support.edit_truth import Edit, check_truth, commented, counted, instead, set_in

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


def executable(mode: int) -> Callable[[Project], None]:
    """The rights of a file that is copied."""

    def act(project: Project) -> None:
        (project.folder / "scripts/a.sh").chmod(mode)

    return act


def base(number: int) -> Callable[[Project], None]:
    """What the name of the base image means."""

    def act(project: Project) -> None:
        project.instance.docker("tag", f"{project.name}-{number}:1", f"{project.name}-base:1")

    return act


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
        act=executable(0o755),
        undo=executable(0o644),
        reason="scripts/a.sh changed",
        facet="file mode",
    ),
    Edit(path="scripts/new.sh", change=lambda _: "new", reason="scripts/new.sh added", facet="file names"),
    Edit(
        path="",
        act=base(2),
        undo=base(1),
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


@pytest.mark.long  # each kind of edit is in core/devcontainers, with a CLI that is recorded
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
