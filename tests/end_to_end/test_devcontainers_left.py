"""A client that goes away in the middle of a recreate: it stops at once, and the old container goes on."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.lowlevel
import pytest
from anyio.to_thread import run_sync as in_thread
from support.dev_projects import Project, Projects
from support.ends_callers import Caller
from support.ends_scene import Opened, calls_cut, open_server
from support.peers import until

HANG = "RUN echo working; sleep 600"
PROMISED_S = 1.0  # from when the client has left to the end of its call


async def _is_building(project: Project) -> bool:
    await anyio.lowlevel.checkpoint()
    return any("docker" in line and " build " in line for line in project.cli_processes)


async def _nobody_is_left(project: Project) -> bool:
    await anyio.lowlevel.checkpoint()
    return not project.cli_processes


async def _is_cut(server: Opened) -> bool:
    return await in_thread(calls_cut, server.pid) == 1


async def made(caller: Caller, project: Project) -> str:
    """Its container, as its definition is now."""
    project.dockerfile("RUN echo one > /version")
    await in_thread(partial(caller.ok, "recreate_devcontainer", name=project.name))
    (container,) = project.containers
    return container


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_client_that_leaves_in_a_recreate_ends_it_and_the_old_container_goes_on(projects: Projects) -> None:
    project, flags = projects.project(), ("--root", str(projects.root), "--audit", "on")
    old = ""
    with anyio.fail_after(220):
        for over in ("stdio", "HTTP"):
            directory = projects.instance.state.parent / over
            async with open_server(projects.instance, directory, over, flags=flags) as server:
                old = old or await made(server.caller, project)
                project.dockerfile("RUN echo one > /version", HANG)
                await in_thread(partial(server.caller.begin, "recreate_devcontainer", name=project.name))
                await until(partial(_is_building, project))
                await in_thread(server.caller.leave)
                began = anyio.current_time()
                await until(partial(_is_cut, server))
                assert anyio.current_time() - began <= PROMISED_S
                await until(partial(_nobody_is_left, project))
                assert project.containers == [old]
