"""Dev containers of each kind, made and used through a real client, with the real CLI on a real engine."""

from __future__ import annotations

import json
from typing import cast

import anyio
import pytest
from support.dev_projects import Projects, container_of, listed, recreate, texts_of
from support.devcontainer_ground import DevcontainerGround
from support.images import BUSYBOX
from support.peers import Json
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(180)
INSTALL = '#!/bin/sh\nprintf "%s" "$COLOUR" > /usr/colour\n'


async def test_a_dev_container_of_an_image_is_made_used_stopped_and_removed(projects: Projects) -> None:
    project = projects.project()
    project.define(remoteEnv={"TEAM": "red"}, postCreateCommand="echo made > /made")
    with anyio.fail_after(90):
        async with projects.open_peer() as peer:
            found = await listed(peer, project.name)
            assert (found["state"], found["folder"]) == ("absent", str(project.folder))
            plan = await recreate(peer, name=project.name, dry_run=True)
            assert (plan["change"], plan["is_dry_run"]) == ("created", True)
            assert any(line.startswith("devcontainer up") for line in texts_of(plan, "runs"))
            assert project.containers == []

            heard: list[str] = []

            async def hear(progress: float, total: float | None, message: str | None) -> None:
                assert 0 <= progress <= (total or 0)
                heard.append(message or "")

            result = await peer.client.call_tool(
                "recreate_devcontainer", {"name": project.name}, progress_callback=hear
            )
            made = cast("Json", result.structured_content)
            assert (made["change"], [hook["name"] for hook in cast("list[Json]", made["hooks"])]) == (
                "created",
                ["postCreateCommand"],
            )
            assert any("postCreateCommand" in message for message in heard)
            assert container_of(made) == project.containers[0]

            process = await peer.start("cat /made; pwd; echo $TEAM; exec cat", workspace=project.name, keep_stdin=True)
            page = await peer.read(process, wait_for="pattern", pattern="red", wait_s=10)
            assert page.output == f"made\n/workspaces/{project.name}\nred\n"
            await peer.ok("write_input", process_id=process, text="hello\n")
            page = await peer.read(process, offset=page.next_offset, wait_for="pattern", pattern="hello", wait_s=10)
            assert page.output == "hello\n"
            await peer.ok("signal_process", process_id=process, signal="TERM")
            assert "killed by TERM" in (await peer.read(process, wait_for="exit", wait_s=10)).status
            assert (await recreate(peer, name=project.name))["change"] == "none"

            stopped = await peer.ok("stop_workspace", name=project.name)
            assert cast("Json", stopped["devcontainer"])["state"] == "stopped"
            assert "it is stopped; start it first" in await peer.refused(
                "start_process", command="true", workspace=project.name
            )
            assert (await recreate(peer, name=project.name))["change"] == "started"
            assert await output_of(peer, "cat /made", project.name) == "made"
            await peer.ok("remove_workspace", name=project.name)
            assert project.containers == []
            assert (await listed(peer, project.name))["state"] == "absent"


async def test_an_edit_of_a_dockerfile_is_named_and_put_right_by_a_recreate(projects: Projects) -> None:
    project = projects.project()
    project.dockerfile("RUN echo one > /version")
    with anyio.fail_after(90):
        async with projects.open_peer() as peer:
            first = await recreate(peer, folder=str(project.folder))
            assert await output_of(peer, "cat /version", project.name) == "one"
            project.dockerfile("# why", "RUN   echo one > /version")
            assert (await listed(peer, project.name))["dirty"] == "clean"
            project.dockerfile("RUN echo two > /version")
            found = await listed(peer, project.name)
            assert (found["dirty"], found["reasons"]) == ("dirty", [".devcontainer/Dockerfile changed"])
            again = await recreate(peer, name=project.name)
            assert (again["change"], again["old_container"]) == ("recreated", container_of(first))
            assert again["reasons"] == found["reasons"]
            assert project.containers == [container_of(again)]
            assert await output_of(peer, "cat /version", project.name) == "two"
            assert (await listed(peer, project.name))["dirty"] == "clean"


async def test_a_compose_project_is_one_dev_container_with_its_siblings(compose_projects: Projects) -> None:
    project = compose_projects.project()
    service = {"image": BUSYBOX, "command": "sleep 1000", "init": True}
    services = {"app": {**service, "volumes": ["..:/workspace"]}, "db": service}
    project.write(".devcontainer/compose.json", json.dumps({"services": services}))
    project.define(dockerComposeFile="compose.json", service="app", workspaceFolder="/workspace")
    with anyio.fail_after(120):
        async with compose_projects.open_peer("--devcontainer-allow", "compose") as peer:
            made = await recreate(peer, name=project.name)
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


async def test_a_local_feature_is_there_for_a_user_who_is_not_root(
    projects: Projects, devcontainer_ground: DevcontainerGround
) -> None:
    project = projects.project()
    project.write(".devcontainer/paint/devcontainer-feature.json", json.dumps({"id": "paint", "version": "1.0.0"}))
    project.write(".devcontainer/paint/install.sh", INSTALL)
    wish = {
        "image": await devcontainer_ground.make_userland(),
        "remoteUser": "dev",
        "remoteEnv": {"TEAM": "red"},
        "postCreateCommand": "echo 'export FROM_LOGIN=yes' >> ~/.bash_profile",
    }
    project.define(**wish, features={"./paint": {"colour": "blue"}})
    before = sorted(project.folder.rglob("*"))
    with anyio.fail_after(90):
        async with projects.open_peer() as peer:
            await recreate(peer, name=project.name)
            found = await listed(peer, project.name)
            assert (found["user"], found["path"]) == ("dev", f"/workspaces/{project.name}")
            said = await output_of(peer, "id -un; pwd; echo $HOME $TEAM $FROM_LOGIN; cat /usr/colour", project.name)
            assert said == f"dev\n/workspaces/{project.name}\n/home/dev red yes\nblue"
            assert sorted(project.folder.rglob("*")) == before

            project.define(**wish, features={"./paint": {"colour": "green"}})
            assert (await listed(peer, project.name))["reasons"] == ["options of feature ./paint changed"]
            project.define(**wish, features={"./paint": {"colour": "blue"}})
            assert (await listed(peer, project.name))["dirty"] == "clean"
            project.write(".devcontainer/paint/install.sh", INSTALL.replace("%s", "dark%s"))
            assert (await listed(peer, project.name))["reasons"] == ["feature ./paint changed"]
            await recreate(peer, name=project.name)
            assert await output_of(peer, "cat /usr/colour", project.name) == "darkblue"
