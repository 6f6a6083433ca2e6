"""A recreate that is cancelled, by who asked or by the end of the server: nobody is left running, nothing is lost."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from support.dev_projects import Project, Projects, container_of, listed, recreate, until_state
from support.peers import Peer, until
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(180)
HANG = "RUN echo working; sleep 600"
HOOK = "test -e gate || { echo working; exec sleep 600; }"


async def cancelled(peer: Peer, name: str, at: str, **arguments: object) -> None:
    """Ask for a recreate and cancel the call when its progress says `at`."""
    with anyio.CancelScope() as scope:

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            assert 0 <= progress <= (total or 0)
            if at in (message or ""):
                scope.cancel()
            await anyio.lowlevel.checkpoint()

        asked = {"name": name, **arguments}
        await peer.client.call_tool("recreate_devcontainer", asked, progress_callback=hear)
    assert scope.cancelled_caught, f"it ended before {at!r}"


async def until_nobody_is_left(project: Project) -> None:
    async def is_so() -> bool:
        await anyio.lowlevel.checkpoint()
        return not project.cli_processes

    await until(is_so)


async def cancelled_in_its_build(peer: Peer, project: Project) -> tuple[str, str]:
    """The old container goes on, and so does a process in it; returns both."""
    old = container_of(await recreate(peer, name=project.name))
    process = await peer.start("exec sleep 600", workspace=project.name, wait_s=0)
    project.dockerfile("RUN echo one > /version", HANG)
    await cancelled(peer, project.name, HANG)
    await until_nobody_is_left(project)
    found = await until_state(peer, project.name, lambda each: each["state"] == "running")
    assert (found["container"], found.get("error", ""), found["dirty"]) == (old, "", "dirty")
    assert (await peer.processes())[process]["state"] == "running"
    return old, process


async def cancelled_in_a_hook(peer: Peer, project: Project) -> str:
    """The new container stays, incomplete; returns it."""
    await cancelled(peer, project.name, "working")
    await until_nobody_is_left(project)
    found = await until_state(peer, project.name, lambda each: each["state"] == "running")
    (half,) = project.containers
    assert (found["container"], found["is_set_up"], found["dirty"]) == (half, False, "dirty")
    assert "its set-up was cancelled" in str(found["error"])
    assert "set-up was not finished" in str(found["reasons"])
    assert await output_of(peer, "test -e /started || echo half", project.name) == "half"
    return half


async def finished(peer: Peer, project: Project, half: str) -> None:
    """One that is incomplete is so for the next server, too, until it is made anew."""
    found = await listed(peer, project.name)
    assert (found["container"], found["is_set_up"]) == (half, False)
    project.write("gate", "")
    made = await recreate(peer, name=project.name, force=True)
    assert (made["change"], made["old_container"]) == ("recreated", half)
    found = await listed(peer, project.name)
    assert (found.get("is_set_up", True), found.get("error", ""), found["dirty"]) == (True, "", "clean")
    assert await output_of(peer, "cat /started", project.name) == "started"


@pytest.mark.long  # test_devcontainers_left.py has one whose client leaves
async def test_cancelled_in_its_build_the_old_container_goes_on_and_in_a_hook_the_new_one_stays_incomplete(
    projects: Projects,
) -> None:
    project, hooked = projects.project(), projects.project("hooked")
    project.dockerfile("RUN echo one > /version")
    hooked.define(postCreateCommand=HOOK, postStartCommand="echo started > /started")
    with anyio.fail_after(150):
        async with projects.open_peer() as peer:
            old, process = await cancelled_in_its_build(peer, project)
            half = await cancelled_in_a_hook(peer, hooked)
            # As in its build, when the server is stopped meanwhile.
            working = await peer.ok("recreate_devcontainer", name=project.name, wait_s=0)
            assert working["change"] == "working"
            await until_state(peer, project.name, lambda each: each["state"] == "starting")
            await until(lambda: _is_building(project))
        await until_nobody_is_left(project)
        assert project.containers == [old]
        async with projects.open_peer() as peer:
            found = await listed(peer, project.name)
            assert (found["state"], found["container"], found["dirty"]) == ("running", old, "dirty")
            assert (await peer.processes())[process]["state"] == "running"
            project.dockerfile("RUN echo two > /version")
            await recreate(peer, name=project.name)
            assert await output_of(peer, "cat /version", project.name) == "two"
            await finished(peer, hooked, half)


async def _is_building(project: Project) -> bool:
    await anyio.lowlevel.checkpoint()
    return any("docker" in line and " build " in line for line in project.cli_processes)
