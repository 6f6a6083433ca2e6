"""A server that is killed while the dev container CLI works: that goes on, nobody begins beside it, and what is told is
what is there."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from support.dev_projects import Project, Projects, container_of, listed, recreate, until_state
from support.peers import until

pytestmark = pytest.mark.timeout(180)
WAITS = "echo begun > begun; until test -e go; do echo waiting; sleep 0.1; done; echo done > done"


async def has(project: Project, name: str) -> bool:
    await anyio.lowlevel.checkpoint()
    return (project.folder / name).exists()


async def test_a_swap_goes_on_without_its_server_and_the_next_one_waits_for_it(projects: Projects) -> None:
    project = projects.project()
    project.define()
    with anyio.fail_after(150):
        async with projects.open_peer() as peer:
            old = container_of(await recreate(peer, name=project.name))
            project.define(postCreateCommand=WAITS)
            assert (await peer.ok("recreate_devcontainer", name=project.name, wait_s=0))["change"] == "working"
            await until(lambda: has(project, "begun"))
            await peer.kill()
        assert project.cli_processes
        async with projects.open_peer() as peer:
            assert (await listed(peer, project.name))["state"] == "starting"
            assert "outlived" in await peer.refused("stop_workspace", name=project.name)
            asked = await peer.ok("recreate_devcontainer", name=project.name, wait_s=1)
            assert asked["change"] == "working"
            assert str(asked["phase"]).startswith("begun again, since a restart of the server interrupted it: ")
            assert str(asked["phase"]).endswith("waiting for its folder")
            assert not await has(project, "done")
            project.write("go", "")
            made = await recreate(peer, name=project.name)
            assert await has(project, "done")
            # Nobody saw how the hook ended, so it is made anew: the CLI would skip it.
            assert made["change"] == "recreated"
            assert "not known" in str(made["reasons"])
            assert made["old_container"] != old
            assert project.containers == [container_of(made)]
            found = await until_state(peer, project.name, lambda each: each["state"] == "running")
            assert (found.get("is_set_up", True), found.get("error", "")) == (True, "")
            await peer.start("exec sleep 600", workspace=project.name, wait_s=0)
            assert (await peer.ok("stop_workspace", name=project.name))["ended_processes"] == 1


async def test_after_the_cli_has_ended_without_its_server_the_list_says_what_it_left(projects: Projects) -> None:
    project = projects.project()
    project.define(postCreateCommand=WAITS)
    with anyio.fail_after(150):
        async with projects.open_peer() as peer:
            assert (await peer.ok("recreate_devcontainer", folder=str(project.folder), wait_s=0))["change"] == "working"
            await until(lambda: has(project, "begun"))
            await peer.kill()
        project.write("go", "")
        await until(lambda: has(project, "done"))
        async with projects.open_peer() as peer:
            # The container runs on, and with it a client of the CLI's, which holds nothing.
            found = await until_state(peer, project.name, lambda each: each["state"] == "running")
            assert [found["container"]] == project.containers
            assert (found["is_set_up"], "not known" in str(found["error"])) == (False, True)
            await peer.ok("stop_workspace", name=project.name)
