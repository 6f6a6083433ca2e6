"""Dev containers on Podman, as far as its version goes, and what a user is told of the rest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import cast

import anyio
import pytest
from support.dev_projects import Projects, container_of, failure, listed, open_projects, recreate
from support.devcontainer_ground import DevcontainerGround
from support.images import BUSYBOX
from support.instances import Instance
from support.peers import Json
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def podman_projects(
    podman_instance: Instance, devcontainer_ground: DevcontainerGround, tmp_path: Path
) -> Generator[Projects]:
    """A root of the operator's without projects, on Podman."""
    with open_projects(podman_instance, devcontainer_ground, tmp_path) as made:
        yield made


def has_compose() -> bool:
    """Whether compose is there for everybody: then there is nothing to be told."""
    return subprocess.run(("docker", "compose", "version"), capture_output=True, check=False).returncode == 0


@pytest.mark.long  # contract/test_devcontainer_kinds.py has one of an image
async def test_on_podman_one_of_a_dockerfile_is_made_and_remade_for_a_user_who_is_not_root(
    podman_projects: Projects,
) -> None:
    project = podman_projects.project()
    wish = {"remoteUser": "dev", "remoteEnv": {"TEAM": "red"}}
    project.dockerfile("RUN echo one > /version", **wish)
    with anyio.fail_after(200):
        async with podman_projects.open_peer() as peer:
            old = container_of(await recreate(peer, name=project.name))
            said = await output_of(peer, "id -un; pwd; echo $TEAM; cat /version", project.name)
            assert said == f"dev\n/workspaces/{project.name}\nred\none"
            process = await peer.start("exec sleep 600", workspace=project.name, wait_s=0)

            project.dockerfile("RUN echo no such thing && exit 7", **wish)
            said = await failure(peer, name=project.name)
            assert "echo no such thing && exit 7" in said
            assert "its container was not touched" in said
            assert (await peer.processes())[process]["state"] == "running"

            project.dockerfile("RUN echo two > /version", **wish)
            assert (await listed(peer, project.name))["reasons"] == [".devcontainer/Dockerfile changed"]
            made = await recreate(peer, name=project.name)
            assert (made["change"], made["old_container"]) == ("recreated", old)
            assert await output_of(peer, "cat /version", project.name) == "two"
            said = await listed(peer, project.name)
            assert said["dirty"] == "clean", json.dumps(made)
            stopped = await peer.ok("stop_workspace", name=project.name)
            assert cast("Json", stopped["devcontainer"])["state"] == "stopped"
            await peer.ok("remove_workspace", name=project.name)
            assert project.containers == []


async def test_on_podman_a_compose_project_needs_a_program_that_is_named(podman_projects: Projects) -> None:
    if has_compose():
        pytest.skip("this machine has compose for everybody")
    project = podman_projects.project()
    service = {"image": BUSYBOX, "command": "sleep 1000"}
    project.write(".devcontainer/compose.json", json.dumps({"services": {"app": service}}))
    project.define(dockerComposeFile="compose.json", service="app", workspaceFolder="/")
    with anyio.fail_after(120):
        # Nothing of another compose may be found.
        environment = {"DOCKER_CONFIG": str(podman_projects.root)}
        async with podman_projects.open_peer("--devcontainer-allow", "compose", environment=environment) as peer:
            said = await peer.refused("recreate_devcontainer", name=project.name)
            assert said.startswith("docker compose is not installed, and this dev container needs it")
            assert project.containers == []
