"""Edits of a definition that go wrong, and a server that ends in between: no container is lost, no reason forgotten."""

from __future__ import annotations

import re

import anyio
import pytest
from support.dev_projects import CONFIG, Projects, container_of, failure, listed, recreate, texts_of
from support.images import BUSYBOX
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(180)


async def test_a_broken_edit_costs_nothing_until_it_is_repaired(projects: Projects) -> None:
    project = projects.project()
    project.dockerfile("RUN echo one > /version")
    with anyio.fail_after(120):
        async with projects.open_peer() as peer:
            old = container_of(await recreate(peer, name=project.name))
            process = await peer.start("exec sleep 600", workspace=project.name, wait_s=0)

            project.dockerfile("RUN echo one > /version", "RUN echo no such thing && exit 7")
            said = await failure(peer, name=project.name)
            # The CLI adds steps of its own.
            assert re.search(r"build failed at step \d/\d \(RUN echo no such thing && exit 7\)", said)
            assert "its container was not touched" in said
            found = await listed(peer, project.name)
            assert (found["state"], found["container"], found["dirty"]) == ("running", old, "dirty")
            assert "(RUN echo no such thing && exit 7)" in str(found["error"])
            assert (await peer.processes())[process]["state"] == "running"

            # The CLI takes this for a whole definition, and makes a container without its user.
            project.write(CONFIG, f'{{"image": "{BUSYBOX}",\n "remoteUser": "de')
            refusal = await peer.refused("recreate_devcontainer", name=project.name)
            assert refusal.startswith(f"{CONFIG}, line 2, column 16: a text begins here and does not end; ")
            found = await listed(peer, project.name)
            assert (found["state"], found["container"]) == ("unknown", old)
            assert "line 2" in str(texts_of(found, "warnings"))
            assert (await peer.processes())[process]["state"] == "running"
            assert project.containers == [old]

            project.dockerfile("RUN echo two > /version")
            made = await recreate(peer, name=project.name)
            assert (made["change"], made["old_container"]) == ("recreated", old)
            assert project.containers == [container_of(made)]
            found = await listed(peer, project.name)
            assert (found["state"], found["dirty"], found.get("error", "")) == ("running", "clean", "")
            assert await output_of(peer, "cat /version", project.name) == "two"
            assert (await peer.processes()).get(process, {}).get("state") != "running"


async def test_one_that_was_made_by_hand_is_adopted_and_a_killed_server_forgets_neither_edit_nor_process(
    projects: Projects,
) -> None:
    project = projects.project()
    project.define(containerEnv={"TEAM": "red"})
    config = str(project.folder / CONFIG)
    made = projects.cli("up", "--workspace-folder", str(project.folder), "--config", config)
    with anyio.fail_after(120):
        async with projects.open_peer() as peer:
            found = await listed(peer, project.name)
            assert (found["container"], found["state"], found["dirty"]) == (made["containerId"], "running", "clean")
            ticker = 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done'
            process = await peer.start(ticker, workspace=project.name, wait_s=0)
            page = await peer.read(process, wait_for="pattern", pattern="line 3", wait_s=10)
            project.define(containerEnv={"TEAM": "blue"}, customizations={"x": {}})
            found = await listed(peer, project.name)
            assert (found["dirty"], found["reasons"]) == ("dirty", ["containerEnv changed"])
            await peer.kill()
        async with projects.open_peer() as peer:
            again = (await peer.processes())[process]  # the first thing that this server is asked
            assert (again["state"], again["workspace"]) == ("running", project.name)
            found = await listed(peer, project.name)
            assert (found["dirty"], found["reasons"]) == ("dirty", ["containerEnv changed"])
            assert found["container"] == made["containerId"]
            following = await peer.read(process, offset=page.next_offset)
            assert following.start == page.next_offset
            lines = (page.output + following.output).splitlines()
            assert lines == [f"line {number + 1}" for number in range(len(lines))]
            assert len(lines) > 3

            swapped = await recreate(peer, name=project.name)
            assert (swapped["old_container"], swapped["reasons"]) == (made["containerId"], ["containerEnv changed"])
            assert await output_of(peer, "echo $TEAM", project.name) == "blue"


async def test_an_edit_while_no_server_looks_is_seen_by_one_that_never_saw_it_clean(projects: Projects) -> None:
    project = projects.project()
    project.define(containerEnv={"TEAM": "red"})
    config = str(project.folder / CONFIG)
    projects.cli("up", "--workspace-folder", str(project.folder), "--config", config)
    project.define(containerEnv={"TEAM": "red"}, postCreateCommand="true", mounts=["type=tmpfs,target=/scratch"])
    with anyio.fail_after(60):
        async with projects.open_peer() as peer:
            found = await listed(peer, project.name)
            assert found["dirty"] == "dirty"
            assert found["reasons"] == ["mounts added", "postCreateCommand added"]


async def test_an_old_container_is_back_when_the_engine_refuses_the_new_one(projects: Projects) -> None:
    project = projects.project()
    project.define()
    with anyio.fail_after(120):
        async with projects.open_peer() as peer:
            old = container_of(await recreate(peer, name=project.name))
            await output_of(peer, "echo kept > /file", project.name)
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
