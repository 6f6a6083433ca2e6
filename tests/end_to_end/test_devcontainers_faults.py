"""Definitions that cannot be used, and containers that are not what their labels say: told, and left alone."""

from __future__ import annotations

import json
import shutil
from typing import cast

import anyio
import pytest
from support.dev_projects import CONFIG, Project, Projects, listed, recreate, texts_of, until_state
from support.images import BUSYBOX
from support.peers import Json, Peer
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(180)


def run_by_hand(project: Project, *more: str, name: str = "", is_mounted: bool = True) -> str:
    """A container with the labels of a dev container that no tool made; returns its id."""
    labels = {
        "devcontainer.local_folder": str(project.folder),
        "devcontainer.config_file": str(project.folder / CONFIG),
    }
    flags = [f"--label={label}={value}" for label, value in labels.items()]
    mount = [f"--volume={project.folder}:/workspaces/{project.name}"] if is_mounted else []
    named = ["--name", name] if name else []
    asked = ("run", "--detach", "--init", *named, *flags, *mount, *more, BUSYBOX, "sleep", "600")
    return project.instance.docker(*asked).strip()


async def until_running(peer: Peer, name: str) -> Json:
    return await until_state(peer, name, lambda found: found["state"] == "running")


async def test_definitions_that_cannot_be_used_are_refused_with_what_to_do(
    shared_projects: Projects, peer: Peer
) -> None:
    two, directory, empty = (shared_projects.project(name) for name in ("two", "directory", "empty"))
    two.define(".devcontainer/a/devcontainer.json")
    two.define(".devcontainer/b/devcontainer.json")
    (directory.folder / CONFIG).mkdir(parents=True)
    with anyio.fail_after(60):
        refusal = await peer.refused("recreate_devcontainer", folder=str(two.folder))
        assert "'.devcontainer/a/devcontainer.json'" in refusal
        assert "'.devcontainer/b/devcontainer.json'" in refusal
        for config in (".devcontainer/a/devcontainer.json", ".devcontainer/b/devcontainer.json"):
            plan = await recreate(peer, folder=str(two.folder), config=config, dry_run=True)
            assert cast("Json", plan["devcontainer"])["config"] == config
        names = [str(each["name"]) for each in await all_of(peer) if each["folder"] == str(two.folder)]
        assert len(set(names)) == 2
        refusal = await peer.refused("recreate_devcontainer", folder=str(directory.folder))
        assert CONFIG in refusal
        assert "director" in refusal
        refusal = await peer.refused("recreate_devcontainer", folder=str(empty.folder))
        assert CONFIG in refusal
        assert "--root" in await peer.refused("recreate_devcontainer", folder="/usr/share")
        assert two.name in await peer.refused("recreate_devcontainer", name="nothing")
        assert two.containers == directory.containers == []


async def all_of(peer: Peer) -> list[Json]:
    return cast("list[Json]", (await peer.ok("list_containers"))["devcontainers"])


async def test_of_two_containers_of_one_dev_container_the_newest_that_runs_counts(
    shared_projects: Projects, peer: Peer
) -> None:
    project = shared_projects.project("doubled")
    project.define()
    first = run_by_hand(project, name=f"{project.name}-first")
    second = run_by_hand(project, name=f"{project.name}-second")
    with anyio.fail_after(60):
        found = await until_state(peer, project.name, lambda each: each.get("container") == second)
        assert found["state"] == "running"
        (other,) = cast("list[Json]", found["siblings"])
        assert (other["name"], other["is_duplicate"]) == (f"{project.name}-first", True)
        assert f"{project.name}-first" in str(texts_of(found, "warnings"))
        assert await output_of(peer, "hostname", project.name) == second[:12]
        # A newer one that does not run does not count.
        project.instance.docker("kill", second)
        found = await until_state(peer, project.name, lambda each: each.get("container") == first)
        assert found["state"] == "running"
        await peer.ok("remove_workspace", name=f"{project.name}-second")
        assert project.containers == [first]
        found = await until_state(peer, project.name, lambda each: "siblings" not in each)
        assert "warnings" not in found


async def test_in_a_container_that_only_carries_the_labels_nothing_is_run(
    shared_projects: Projects, peer: Peer
) -> None:
    bare, strong = (shared_projects.project(name) for name in ("bare", "strong"))
    bare.define()
    strong.define()
    run_by_hand(bare, is_mounted=False)
    run_by_hand(strong, "--cap-add=SYS_PTRACE")
    with anyio.fail_after(60):
        await until_running(peer, bare.name)
        await until_running(peer, strong.name)
        refusal = await peer.refused("start_process", command="echo $0 > /ran", workspace=bare.name)
        assert "is not mounted in it, so nothing is run there; call recreate_devcontainer" in refusal
        refusal = await peer.refused("start_process", command="true", workspace=strong.name)
        assert "--devcontainer-allow capability:SYS_PTRACE" in refusal
        for project in (bare, strong):
            # The points of mounts, and Docker's own --init, are all that was put there.
            put = [line.split()[1] for line in project.instance.docker("diff", *project.containers).splitlines()]
            assert [path for path in put if not path.startswith(("/sbin", "/workspaces"))] == []
            assert project.inspected()["ExecIDs"] is None
            found = await listed(peer, project.name)
            assert (found["state"], "error" in found) == ("running", True)


async def test_a_paused_container_says_so_and_goes_on_and_one_of_a_vanished_folder_can_be_removed(
    shared_projects: Projects,
    peer: Peer,
) -> None:
    paused, vanished = shared_projects.project("paused"), shared_projects.project("vanished")
    paused.define()
    vanished.define()
    run_by_hand(paused)
    orphan = run_by_hand(vanished)
    with anyio.fail_after(60):
        await until_running(peer, paused.name)
        process = await peer.start("exec sleep 600", workspace=paused.name, wait_s=0)
        paused.instance.docker("pause", *paused.containers)
        await until_state(peer, paused.name, lambda found: found["state"] == "paused")
        assert (await peer.processes()).get(process, {}).get("state") != "lost"
        assert "paused" in await peer.refused("start_process", command="true", workspace=paused.name)
        paused.instance.docker("unpause", *paused.containers)
        await until_running(peer, paused.name)
        assert (await peer.processes())[process]["state"] == "running"
        assert await output_of(peer, "echo on", paused.name) == "on"

        shutil.rmtree(vanished.folder)
        found = await until_state(peer, vanished.name, lambda each: each["state"] == "orphaned")
        assert found["container"] == orphan
        refusal = await peer.refused("recreate_devcontainer", name=vanished.name)
        assert CONFIG in refusal or "gone" in refusal
        assert vanished.containers == [orphan]
        await peer.ok("remove_workspace", name=vanished.name)
        assert vanished.containers == []
        assert vanished.name not in json.dumps(await all_of(peer))
