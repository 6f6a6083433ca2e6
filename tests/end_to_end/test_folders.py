"""Folders and programs of the host in a workspace: what the operator allows, as asked for, and nothing beside."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread
import pytest
from support.host_ground import repository, swapping
from support.instances import Instance
from support.peers import Json, Peer, text_of
from support.small_disk import mounted
from support.tier_probe import output_of

RACE_S = 5.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory that the operator allows, with a project in it."""
    project = tmp_path / "root" / "project"
    project.mkdir(parents=True)
    (project / "hello.txt").write_text("hello\n")
    return tmp_path / "root"


def folder(path: Path, access: str = "read_write", **more: object) -> Json:
    return {"folder": str(path), "access": access, **more}


async def file_of(peer: Peer, path: str, **arguments: object) -> str:
    return text_of(await peer.call("workspace_files", path=path, **arguments))


@pytest.mark.long("podman")
async def test_a_folder_is_at_workspace_as_much_as_was_asked_for(each_instance: Instance, root: Path) -> None:
    project = root / "project"
    with anyio.fail_after(90):
        async with each_instance.open_peer("--root", str(root)) as peer:
            made = await peer.ok("provision_workspace", options=folder(project))
            assert cast("Json", made["workspace"])["access"] == "read_write"
            assert await output_of(peer, "cat hello.txt; echo written > file; id -u") == "hello\n0"
            assert (project / "file").read_text() == "written\n"

            answer = await peer.ok("provision_workspace", options=folder(project, "read_only"))
            assert (answer["change"], answer["reasons"]) == (
                "recreated",
                ["access is 'read_write', not 'read_only'"],
            )
            assert await output_of(peer, "cat file; echo x 2>&1 > file || echo refused") == (
                "written\nsh: can't create file: Read-only file system\nrefused"
            )
            assert "read-only" in await peer.refused("workspace_files", action="write", path="new", content="x")
            assert (project / "file").read_text() == "written\n"
            assert (await peer.ok("provision_workspace"))["change"] == "none"

            await peer.ok("stop_workspace", name="main")
            assert (await file_of(peer, "hello.txt", action="read")).startswith("hello\n[")
            assert "read-only" in await peer.refused("workspace_files", action="write", path="new", content="x")
            assert sorted(entry.name for entry in project.iterdir()) == ["file", "hello.txt"]

            removed = await peer.ok("remove_workspace", name="main", keep_data=False)
            assert removed["state"] == "removed"
            assert (project / "hello.txt").read_text() == "hello\n"


async def test_what_the_operator_does_not_allow_is_refused_and_makes_nothing(instance: Instance, root: Path) -> None:
    (root / "link").symlink_to(root / "project")
    (root / "out").symlink_to("/etc")
    tries = (
        (folder(root / "link"), "is a link"),
        (folder(root / "out" / "ssl"), "is a link"),
        (folder(Path("/etc")), "not below a directory that the operator allows"),
        (folder(root.parent / "root-evil"), "not below a directory that the operator allows"),
        (folder(Path(f"{root}/../root/project")), "'..'"),
        (folder(root / "missing"), "does not exist"),
        (folder(root / "project" / "hello.txt"), "is not a directory"),
        (folder(instance.state), "holds, or is in, what no workspace may have"),
        (folder(instance.state.parent), "holds, or is in, what no workspace may have"),
        ({"folder": str(root / "project")}, "a folder needs access"),
        (folder(root / "project", "none"), "gives no folder"),
        ({"access": "read_only"}, "needs a folder"),
        ({"mounts": {"/opt/worker": str(root / "missing")}}, "does not exist"),
        ({"mounts": {"/opt/worker": "/bin/busybox"}}, "not below a directory that the operator allows"),
        ({"mounts": {"/proc/worker": str(root / "project" / "hello.txt")}}, "taken inside"),
    )
    with anyio.fail_after(90):
        roots = ("--root", str(root), "--root", str(instance.state.parent))
        async with instance.open_peer(*roots) as peer:
            for options, why in tries[:4]:
                # The second root has it all, as it has the state directory.
                refusal = await peer.refused("provision_workspace", options=options)
                assert why in refusal or "root-evil" in str(options), (options, refusal)
            for options, why in tries[4:]:
                refusal = await peer.refused("provision_workspace", options=options)
                assert why in refusal, (options, refusal)
            refusal = await peer.refused("provision_workspace", tier=1, options=folder(root / "project"))
            assert "tier 1 has no folder" in refusal
            both = await peer.refused("provision_workspace", volume=True, options=folder(root / "project"))
            assert "cannot both be" in both
        async with instance.open_peer() as peer:
            assert "--root" in await peer.refused("provision_workspace", options=folder(root / "project"))
        assert (instance.containers, instance.networks) == ([], [])
        assert [volume for volume in instance.volumes if "-execd-" not in volume] == []


async def test_a_folder_inside_one_that_another_workspace_may_write_is_refused(instance: Instance, root: Path) -> None:
    inner = root / "project" / "inner"
    inner.mkdir()
    with anyio.fail_after(90):
        async with instance.open_peer("--root", str(root)) as peer:
            await peer.ok("provision_workspace", name="outer", options=folder(root / "project"))
            refusal = await peer.refused("provision_workspace", name="inner", options=folder(inner))
            assert "another workspace may write" in refusal
            assert len(instance.containers) == 1
            await peer.ok("provision_workspace", name="outer", options=folder(root / "project", "read_only"))
            assert (await peer.ok("provision_workspace", name="inner", options=folder(inner)))["change"] == "created"


async def test_what_is_mounted_in_a_folder_does_not_come_with_it(instance: Instance, root: Path) -> None:
    below = root / "project" / "below"
    below.mkdir()
    with anyio.fail_after(90), mounted(below):
        (below / "other").write_text("x")
        async with instance.open_peer("--root", str(root)) as peer:
            refusal = await peer.refused("provision_workspace", options=folder(root / "project", "read_only"))
            assert "another file system mounted at 'below'" in refusal
            made = await peer.ok("provision_workspace", options=folder(root / "project"))
            assert "stay empty in the workspace: below" in str(made["note"])
            assert await output_of(peer, "ls below; ls") == "below\nhello.txt"
            assert (below / "other").read_text() == "x"


async def test_a_git_worktree_has_its_repository_beside_it_and_programs_of_the_host_run(
    instance: Instance, root: Path
) -> None:
    common = repository(root / "repo", root / "lane", root / "other")
    worker = root / "worker"
    worker.write_text("#!/bin/sh\necho working for $1\n")
    worker.chmod(0o755)
    own, foreign = f"{common}/.git/worktrees/lane", f"{common}/.git/worktrees/other"
    with anyio.fail_after(90):
        async with instance.open_peer("--root", str(root)) as peer:
            wish = folder(root / "lane", mounts={"/opt/bin/worker": str(worker)})
            made = await peer.ok("provision_workspace", options=wish)
            assert "git will not work" not in str(made.get("note", ""))
            assert await output_of(peer, f"cat {own}/gitdir {own}/HEAD") == f"{root}/lane/.git\nref: refs/heads/lane"
            assert await output_of(peer, f"echo x > {own}/mine && echo x > {common}/.git/mine && echo both") == "both"
            assert "Read-only" in await output_of(peer, f"echo x > {foreign}/mine")
            assert await output_of(peer, f"cat {root}/lane/hello; echo $GIT_CONFIG_KEY_0") == "hello\nsafe.directory"
            assert await output_of(peer, "/opt/bin/worker us") == "working for us"
            assert "Read-only" in await output_of(peer, "echo x > /opt/bin/worker")
            # A folder that is no worktree of the repository that it names gets nothing of it.
            (root / "project" / ".git").write_text(f"gitdir: {own}\n")
            made = await peer.ok("provision_workspace", name="forged", options=folder(root / "project"))
            assert "git will not work inside" in str(made["note"])
            assert "No such file" in await output_of(peer, f"ls {common}", "forged")
            assert (await peer.ok("provision_workspace", options=wish))["change"] == "none"


async def test_a_folder_that_is_swapped_for_a_link_meanwhile_never_stays_mounted(
    instance: Instance, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    project, aside = root / "project", root / "aside"
    right = project.stat().st_ino

    def swap() -> None:
        project.rename(aside)
        project.symlink_to(outside)
        project.unlink()
        aside.rename(project)

    def running_on() -> set[int]:
        names = instance.docker("ps", "--filter", f"label=dev.ws-mcp.instance={instance.id}", "--quiet").split()
        return {int(instance.docker("exec", name, "stat", "-c", "%i", "/workspace")) for name in names}

    ends: set[bool] = set()
    with anyio.fail_after(90):
        async with instance.open_peer("--root", str(root)) as peer:
            # What it needs once is made before the race.
            await peer.ok("provision_workspace", name="first")
            await peer.ok("remove_workspace", name="first", keep_data=False)
            with swapping(swap):
                until = anyio.current_time() + RACE_S
                while anyio.current_time() < until:
                    result = await peer.call("provision_workspace", options=folder(project, replace="always"))
                    ends.add(result.is_error)
                    assert await anyio.to_thread.run_sync(running_on) <= {right}, text_of(result)
                    await peer.call("remove_workspace", name="main", keep_data=False)
            assert ends
            await peer.ok("provision_workspace", options=folder(project))
            assert running_on() == {right}
