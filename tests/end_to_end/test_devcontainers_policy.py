"""T10 with the real CLI: what a definition, a label or an image asks for beyond what the operator allows never runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from support.dev_projects import CONFIG, Projects, container_of, listed, recreate
from support.docker_cli import docker
from support.images import BUSYBOX
from support.peers import Json, until

pytestmark = pytest.mark.timeout(120)
MARKER = "marker"


async def test_a_label_that_names_a_folder_supplies_nothing(projects: Projects, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    (evil / ".devcontainer").mkdir(parents=True)
    (evil / CONFIG).write_text(json.dumps({"image": BUSYBOX, "initializeCommand": f"touch {tmp_path / MARKER}"}))
    labels = {"devcontainer.local_folder": evil, "devcontainer.config_file": evil / CONFIG}
    flags = [f"--label={label}={value}" for label, value in labels.items()]
    container = docker(
        "run", "--detach", "--init", *flags, f"--volume={evil}:/workspaces/evil", BUSYBOX, "sleep", "600"
    )
    container = container.strip()
    try:
        with anyio.fail_after(60):
            async with projects.open_peer("--devcontainer-allow", "initialize-command") as peer:
                assert "evil" not in json.dumps((await peer.ok("list_containers")).get("devcontainers", []))
                for asked in ({"name": "evil"}, {"name": container}, {"folder": str(evil)}):
                    await peer.refused("recreate_devcontainer", force=True, **asked)
                await peer.refused("start_process", command="true", workspace="evil")
        assert not (tmp_path / MARKER).exists()
        assert docker("inspect", "--format", "{{.State.Running}} {{.ExecIDs}}", container).split() == ["true", "[]"]
    finally:
        docker("rm", "--force", container)


async def test_what_is_not_allowed_is_refused_all_at_once_and_nothing_of_it_runs(
    projects: Projects, tmp_path: Path
) -> None:
    project, strong, compose = (projects.project(name) for name in ("shop", "strong", "compose"))
    compose.define(dockerComposeFile="compose.yaml", service="app")
    marker = tmp_path / MARKER
    project.define(
        initializeCommand=f"touch {marker}",
        containerEnv={"STOLEN": "${localEnv:SECRET}"},
        mounts=["type=bind,source=/,target=/host"],
        runArgs=["--pid=host"],
        capAdd=["SYS_ADMIN"],
    )
    # An image can ask for rights, too; that is known only when the CLI has merged it in.
    image = f"{strong.name}:1"
    label = json.dumps([{"privileged": True}])
    strong.write("image/Dockerfile", f"FROM {BUSYBOX}\nLABEL devcontainer.metadata='{label}'\n")
    docker("build", "--quiet", "--tag", image, str(strong.folder / "image"))
    strong.define(image=image)
    with anyio.fail_after(90):
        async with projects.open_peer(environment={"SECRET": "s3cret"}) as peer:
            refusal = await peer.refused("recreate_devcontainer", name=project.name)
            for word in ("initialize-command", "local-env:SECRET", "mount:/", "run-arg:--pid", "capability:SYS_ADMIN"):
                assert f"--devcontainer-allow {word}" in refusal
            assert "s3cret" not in refusal
            assert project.containers == []
            refusal = await peer.refused("recreate_devcontainer", name=strong.name)
            assert "--devcontainer-allow privileged" in refusal
            assert strong.containers == []
            refusal = await peer.refused("recreate_devcontainer", name=compose.name)
            assert "--devcontainer-allow compose" in refusal
            assert not marker.exists()
        flags = [f"--devcontainer-allow={word}" for word in ("initialize-command", "local-env:SECRET", "privileged")]
        async with projects.open_peer(*flags, environment={"SECRET": "s3cret"}) as peer:
            project.define(initializeCommand=f"touch {marker}", containerEnv={"GIVEN": "${localEnv:SECRET}"})
            plan = await recreate(peer, name=project.name, dry_run=True)
            assert f"initializeCommand: touch {marker}" in cast("list[str]", plan["runs"])
            assert not marker.exists()
            await recreate(peer, name=project.name)
            assert marker.exists()
            environment = cast("Json", project.inspected()["Config"])["Env"]
            assert "GIVEN=s3cret" in cast("list[str]", environment)


async def test_a_definition_that_is_changed_while_it_is_used_counts_as_it_was_checked(
    projects: Projects, tmp_path: Path
) -> None:
    project = projects.project()
    marker = tmp_path / MARKER
    project.define()
    with anyio.fail_after(90):
        async with projects.open_peer() as peer:

            async def is_begun() -> bool:
                await anyio.lowlevel.checkpoint()
                return bool(project.cli_processes)

            working = await peer.ok("recreate_devcontainer", name=project.name, wait_s=0)
            assert working["change"] == "working"
            # It was read and checked; the CLI is asked what the image adds, and has not made anything.
            await until(is_begun)
            project.define(initializeCommand=f"touch {marker}", privileged=True)
            made = await recreate(peer, name=project.name)
            assert made["change"] == "created"
            assert not marker.exists()
            found = await listed(peer, project.name)
            assert (found["container"], found["reasons"]) == (container_of(made), ["privileged added"])
            assert cast("Json", project.inspected()["HostConfig"])["Privileged"] is False
            assert "--devcontainer-allow privileged" in await peer.refused("recreate_devcontainer", name=project.name)
            assert project.containers == [container_of(made)]
