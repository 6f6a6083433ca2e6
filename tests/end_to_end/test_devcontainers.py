"""Dev containers of each kind, made and used through a real client, with the real CLI on a real engine."""

from __future__ import annotations

import json
import re
from typing import cast

import anyio
import pytest
from support.dev_projects import CONFIG, Projects, container_of, failure, listed, recreate, texts_of
from support.devcontainer_ground import DevcontainerGround
from support.images import BUSYBOX
from support.peers import Json, Peer
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(180)
INSTALL = '#!/bin/sh\nprintf "%s" "$COLOUR" > /usr/colour\n'


async def test_a_dev_container_of_an_image_is_made_used_stopped_and_removed(
    shared_projects: Projects, peer: Peer
) -> None:
    project = shared_projects.project()
    project.define(remoteEnv={"TEAM": "red"}, postCreateCommand="echo made > /made")
    with anyio.fail_after(90):
        plan = await recreate(peer, folder=str(project.folder), dry_run=True)
        assert (plan["change"], plan["is_dry_run"]) == ("created", True)
        assert any(line.startswith("devcontainer up") for line in texts_of(plan, "runs"))
        assert project.containers == []
        assert (await listed(peer, project.name))["state"] == "absent"

        heard: list[str] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            assert 0 <= progress <= (total or 0)
            heard.append(message or "")

        result = await peer.client.call_tool("recreate_devcontainer", {"name": project.name}, progress_callback=hear)
        made = cast("Json", result.structured_content)
        assert (made["change"], [hook["name"] for hook in cast("list[Json]", made["hooks"])]) == (
            "created",
            ["postCreateCommand"],
        )
        assert any("postCreateCommand" in message for message in heard)
        assert container_of(made) == project.containers[0]

        process = await peer.start("cat /made; pwd; echo $TEAM; exec cat", workspace=project.name, keep_stdin=True)
        page = await peer.read(process, wait_for="pattern", pattern="red", wait_s=30)
        assert page.output == f"made\n/workspaces/{project.name}\nred\n"
        await peer.ok("write_input", process_id=process, text="hello\n")
        page = await peer.read(process, offset=page.next_offset, wait_for="pattern", pattern="hello", wait_s=30)
        assert page.output == "hello\n"
        await peer.ok("signal_process", process_id=process, signal="TERM")
        assert "killed by TERM" in (await peer.read(process, wait_for="exit", wait_s=30)).status
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


@pytest.mark.long  # contract/test_devcontainer_kinds.py has a feature, and a user
async def test_a_local_feature_is_there_for_a_user_who_is_not_root(
    shared_projects: Projects, peer: Peer, devcontainer_ground: DevcontainerGround
) -> None:
    project = shared_projects.project("painted")
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
        await recreate(peer, folder=str(project.folder))
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


async def test_a_hook_that_fails_is_named_with_its_output_and_the_container_stays_for_a_look(
    shared_projects: Projects, peer: Peer
) -> None:
    project = shared_projects.project("hooked")
    project.define(onCreateCommand="echo no such thing; exit 3", postCreateCommand="echo made > /made")
    with anyio.fail_after(90):
        made = await recreate(peer, folder=str(project.folder))
        (hook,) = cast("list[Json]", made["hooks"])
        assert (hook["name"], hook["is_ok"]) == ("onCreateCommand", False)
        assert "onCreateCommand failed with exit code 3: no such thing" in str(made["warnings"])
        found = await listed(peer, project.name)
        assert (found["state"], found["is_set_up"]) == ("running", False)
        assert "onCreateCommand failed with exit code 3" in str(found["error"])
        assert await output_of(peer, "test -e /made || echo half", project.name) == "half"
        project.define(onCreateCommand="true", postCreateCommand="echo made > /made")
        await recreate(peer, name=project.name)
        found = await listed(peer, project.name)
        assert (found.get("is_set_up", True), found.get("error", "")) == (True, "")
        assert await output_of(peer, "cat /made", project.name) == "made"


async def test_a_broken_edit_costs_nothing_and_a_repaired_one_is_named_and_put_right(
    shared_projects: Projects, peer: Peer
) -> None:
    project = shared_projects.project("edited")
    project.dockerfile("RUN echo one > /version")
    with anyio.fail_after(120):
        old = container_of(await recreate(peer, folder=str(project.folder)))
        assert await output_of(peer, "cat /version", project.name) == "one"
        process = await peer.start("exec sleep 600", workspace=project.name, wait_s=0)
        project.dockerfile("# why", "RUN   echo one > /version")
        assert (await listed(peer, project.name))["dirty"] == "clean"

        project.dockerfile("RUN echo one > /version", "RUN echo no such thing && exit 7")
        said = await failure(peer, name=project.name)
        # The CLI adds steps of its own.
        assert re.search(r"build failed at step \d/\d \(RUN echo no such thing && exit 7\)", said)
        assert "its container was not touched" in said
        found = await listed(peer, project.name)
        assert (found["state"], found["container"], found["dirty"]) == ("running", old, "dirty")
        assert "(RUN echo no such thing && exit 7)" in str(found["error"])
        assert (await peer.processes())[process]["state"] == "running"

        project.dockerfile("RUN echo two > /version")
        found = await listed(peer, project.name)
        assert (found["dirty"], found["reasons"]) == ("dirty", [".devcontainer/Dockerfile changed"])
        made = await recreate(peer, name=project.name)
        assert (made["change"], made["old_container"]) == ("recreated", old)
        assert made["reasons"] == found["reasons"]
        assert project.containers == [container_of(made)]
        found = await listed(peer, project.name)
        assert (found["state"], found["dirty"], found.get("error", "")) == ("running", "clean", "")
        assert await output_of(peer, "cat /version", project.name) == "two"
        assert (await peer.processes()).get(process, {}).get("state") != "running"


async def test_an_old_container_stays_while_its_definition_is_cut_off_and_when_the_engine_refuses_the_new_one(
    shared_projects: Projects, peer: Peer
) -> None:
    project = shared_projects.project("kept")
    project.define()
    with anyio.fail_after(120):
        old = container_of(await recreate(peer, folder=str(project.folder)))
        process = await peer.start("echo kept > /file; exec sleep 600", workspace=project.name, wait_s=0)
        # The CLI takes this for a whole definition, and makes a container without its user.
        project.write(CONFIG, f'{{"image": "{BUSYBOX}",\n "remoteUser": "de')
        refusal = await peer.refused("recreate_devcontainer", name=project.name)
        assert refusal.startswith(f"{CONFIG}, line 2, column 16: a text begins here and does not end; ")
        found = await listed(peer, project.name)
        assert (found["state"], found["container"]) == ("unknown", old)
        assert "line 2" in str(texts_of(found, "warnings"))
        assert (await peer.processes())[process]["state"] == "running"
        assert project.containers == [old]

        project.define(runArgs=["--memory=1k"])
        said = await failure(peer, name=project.name)
        assert "the old one is there" in said
        assert "Command failed: docker run" in said
        found = await listed(peer, project.name)
        assert (found["container"], found["state"], found.get("siblings")) == (old, "running", None)
        assert "runArgs added" in str(found["reasons"])
        assert await output_of(peer, "cat /file", project.name) == "kept"

        project.define(runArgs=["--memory=64m"])
        made = await recreate(peer, name=project.name)
        assert made["old_container"] == old
        assert project.containers == [container_of(made)]
