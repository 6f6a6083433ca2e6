"""What only the real dev container CLI can show: compose, features, users, and what it leaves in the work tree."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.devcontainer_ground import DevcontainerGround, image_of
from support.images import BUSYBOX
from support.real_engine import EngineGround, LabelledEngine

from ws_mcp.core.devcontainers.cli import RealDevcontainerCli
from ws_mcp.core.devcontainers.definition import definition_of
from ws_mcp.core.devcontainers.model import DevContainer, Key, Phase, Status
from ws_mcp.core.devcontainers.picked import picked_of
from ws_mcp.core.devcontainers.policy import checked_copy
from ws_mcp.core.devcontainers.port import CliCall, CliProgress, CliResult, Outcome, Verb
from ws_mcp.core.devcontainers.recreate_plan import anchored
from ws_mcp.core.engine.model import ContainerSpec, ExecSpec

pytestmark = pytest.mark.timeout(180)
WAIT_S = 90
INSTALL = '#!/bin/sh\nprintf "%s" "$COLOUR" > /usr/colour\n'


def write(folder: Path, definition: dict[str, object], **files: str) -> Key:
    """A dev container of `folder`; the names of `files` have "__" for a slash, "_" for a dot."""
    directory = folder / ".devcontainer"
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "devcontainer.json").write_text(json.dumps(definition))
    return Key(folder=str(folder), config=str(directory / "devcontainer.json"))


async def up(cli: RealDevcontainerCli, key: Key, **environment: str) -> tuple[CliResult, list[CliProgress]]:
    told: list[CliProgress] = []
    with anyio.fail_after(WAIT_S):
        call = CliCall(verb=Verb.UP, key=key, environment=environment)
        return await cli.run(call, told.append, lambda phase, silent_s: False), told


async def output_of(engine: LabelledEngine, result: CliResult, *argv: str) -> str:
    assert result.container is not None
    async with engine.open_exec(result.container, ExecSpec(argv=argv, user=result.user)) as stream:
        return b"".join([chunk async for chunk in stream]).decode().strip()


async def test_a_compose_project_comes_up_with_its_siblings(
    tmp_path: Path, devcontainer_ground: DevcontainerGround, docker_engine: LabelledEngine
) -> None:
    folder = tmp_path / "wsmcp-test-compose"
    service = {"image": BUSYBOX, "command": "sleep 1000"}
    key = write(
        folder,
        {"dockerComposeFile": "compose.json", "service": "app", "workspaceFolder": "/workspace"},
        compose_json=json.dumps({"services": {"app": {**service, "volumes": ["..:/workspace"]}, "db": service}}),
    )
    devcontainer_ground.own(folder)
    cli = devcontainer_ground.cli(docker_engine, devcontainer_ground.compose())
    result, told = await up(cli, key)
    assert (result.outcome, result.reason, result.path) == (Outcome.SUCCESS, "", "/workspace")
    assert result.project == "wsmcp-test-compose_devcontainer"
    of_project = {"com.docker.compose.project": result.project}
    devcontainer_ground.own_labels(of_project)
    there = await docker_engine.list_containers(of_project)
    assert sorted(c.labels["com.docker.compose.service"] for c in there) == ["app", "db"]
    assert Phase.CREATE in {progress.phase for progress in told}


async def test_what_was_built_from_a_checked_copy_is_what_up_makes_the_container_of(
    tmp_path: Path, devcontainer_ground: DevcontainerGround, docker_engine: LabelledEngine
) -> None:
    folder = tmp_path / "wsmcp-test-copied"
    build = {"dockerfile": "Dockerfile", "context": ".."}
    definition: dict[str, object] = {"build": build, "remoteEnv": {"A": "${devcontainerId}"}}
    key = write(folder, definition, Dockerfile=f"FROM {BUSYBOX}\nCOPY a .\nRUN date +%N > /made\n")
    (folder / "a").write_text("a")
    devcontainer_ground.own(folder)
    cli = devcontainer_ground.cli(docker_engine)
    read = definition_of(key, json.dumps(definition))
    properties = anchored(read)
    assert properties is not None
    copies = [tmp_path / name / "devcontainer.json" for name in ("build", "up")]
    for copy, checked in zip(copies, (properties, read.properties), strict=True):
        copy.parent.mkdir()
        copy.write_text(checked_copy(checked))
    with anyio.fail_after(WAIT_S):
        call = CliCall(verb=Verb.BUILD, key=key, content=copies[0])
        built = await cli.run(call, print, lambda phase, silent_s: False)
        assert (built.outcome, built.reason) == (Outcome.SUCCESS, "")
        image = await docker_engine.image(image_of(folder))
        result = await cli.run(replace(call, verb=Verb.UP, content=copies[1]), print, lambda phase, silent_s: False)
    assert result.container is not None
    assert (await docker_engine.inspect(result.container)).image_id == image.id


async def test_of_two_with_its_labels_the_newest_is_taken_even_if_it_does_not_run(
    tmp_path: Path, devcontainer_ground: DevcontainerGround, docker_engine: LabelledEngine
) -> None:
    folder = tmp_path / "wsmcp-test-two"
    key = write(folder, {"image": BUSYBOX})
    devcontainer_ground.own(folder)
    labels = {"devcontainer.local_folder": key.folder, "devcontainer.config_file": key.config}
    older, newer = [
        await docker_engine.create(
            ContainerSpec(name=f"{folder.name}-{name}", image=BUSYBOX, command=("sleep", "600"), labels=labels)
        )
        for name in ("older", "newer")
    ]
    await docker_engine.start(older)
    there = [await docker_engine.inspect(each) for each in (older, newer)]
    found = DevContainer(key=key, name="two", status=Status.RUNNING, container=older)
    picked = picked_of(found, there)
    result, _ = await up(devcontainer_ground.cli(docker_engine), key)
    assert picked is not None
    assert (result.container, picked.id) == (newer, newer)


async def test_on_podman_the_user_need_not_be_root(
    tmp_path: Path,
    devcontainer_ground: DevcontainerGround,
    podman_ground: EngineGround,
    podman_engine: LabelledEngine,
) -> None:
    folder = tmp_path / "wsmcp-test-podman"
    hook = {"postCreateCommand": "id -un; exit 3", "remoteUser": "dev"}
    key = write(folder, {"build": {"dockerfile": "Dockerfile"}, **hook}, Dockerfile=f"FROM {BUSYBOX}\nRUN true\n")
    ground = DevcontainerGround(podman_ground)
    ground.own(folder)
    result, told = await up(ground.cli(podman_engine), key)
    assert result.reason.startswith("postCreateCommand failed with exit code 3: dev;")
    assert {"step 2/2 (RUN true)", "dev"} <= {progress.detail for progress in told}
    await ground.clean()


async def test_a_feature_and_a_user_are_in_the_container_and_nothing_new_in_the_work_tree(
    tmp_path: Path, devcontainer_ground: DevcontainerGround, docker_engine: LabelledEngine
) -> None:
    folder = tmp_path / "wsmcp-test-feature"
    key = write(
        folder,
        {
            "image": await devcontainer_ground.make_userland(),
            "remoteUser": "dev",
            "containerEnv": {"TEAM": "${localEnv:TEAM}"},
            "features": {"./paint": {"colour": "blue"}},
        },
        **{"paint__devcontainer-feature_json": json.dumps({"id": "paint", "version": "1.0.0", "name": "Paint"})},
        paint__install_sh=INSTALL,
    )
    before = sorted(folder.rglob("*"))
    devcontainer_ground.own(folder)
    result, _ = await up(devcontainer_ground.cli(docker_engine), key, TEAM="a")
    assert (result.outcome, result.reason, result.user) == (Outcome.SUCCESS, "", "dev")
    assert await output_of(docker_engine, result, "sh", "-c", "cat /usr/colour; id -un; echo $TEAM") == "bluedev\na"
    assert sorted(folder.rglob("*")) == before
