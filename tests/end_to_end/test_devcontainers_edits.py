"""Containers that were made by hand, edits while no server looks, and a server that is killed: nothing is forgotten."""

from __future__ import annotations

import anyio
import pytest
from support.dev_projects import CONFIG, Project, Projects, listed, recreate
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(180)
TICKER = 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done'


async def made_by_hand(projects: Projects, project: Project) -> str:
    """The id of the container that the CLI makes."""
    flags = ("--workspace-folder", str(project.folder), "--config", str(project.folder / CONFIG))
    made = await anyio.to_thread.run_sync(projects.cli, "up", *flags)
    return str(made["containerId"])


@pytest.mark.long  # core/devcontainers/test_kept.py has one of others
async def test_one_that_was_made_by_hand_is_adopted_and_a_killed_server_forgets_neither_edit_nor_process(
    projects: Projects,
) -> None:
    project, unseen = projects.project(), projects.project("unseen")
    for each in (project, unseen):
        each.define(containerEnv={"TEAM": "red"})
    with anyio.fail_after(120):
        made = await made_by_hand(projects, project)
        await made_by_hand(projects, unseen)
        unseen.define(containerEnv={"TEAM": "red"}, postCreateCommand="true", mounts=["type=tmpfs,target=/scratch"])
        async with projects.open_peer() as peer:
            found = await listed(peer, project.name)
            assert (found["container"], found["state"], found["dirty"]) == (made, "running", "clean")
            # This server never saw it clean.
            found = await listed(peer, unseen.name)
            assert (found["dirty"], found["reasons"]) == ("dirty", ["mounts added", "postCreateCommand added"])
            process = await peer.start(TICKER, workspace=project.name, wait_s=0)
            page = await peer.read(process, wait_for="pattern", pattern="line 3", wait_s=30)
            project.define(containerEnv={"TEAM": "blue"}, customizations={"x": {}})
            found = await listed(peer, project.name)
            assert (found["dirty"], found["reasons"]) == ("dirty", ["containerEnv changed"])
            await peer.kill()
        async with projects.open_peer() as peer:
            again = (await peer.processes())[process]  # the first thing that this server is asked
            assert (again["state"], again["workspace"]) == ("running", project.name)
            found = await listed(peer, project.name)
            assert (found["dirty"], found["reasons"]) == ("dirty", ["containerEnv changed"])
            assert found["container"] == made
            following = await peer.read(process, offset=page.next_offset)
            assert following.start == page.next_offset
            lines = (page.output + following.output).splitlines()
            assert lines == [f"line {number + 1}" for number in range(len(lines))]
            assert len(lines) > 3

            swapped = await recreate(peer, name=project.name)
            assert (swapped["old_container"], swapped["reasons"]) == (made, ["containerEnv changed"])
            assert await output_of(peer, "echo $TEAM", project.name) == "blue"
