"""T10 with the real CLI: what a definition, a label or an image asks for beyond what the operator allows never runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from support.dev_projects import CONFIG, Projects, container_of, listed, recreate
from support.devcontainer_ground import FOLDER
from support.docker_cli import docker
from support.host_ground import git
from support.images import BUSYBOX
from support.peers import Json, Peer, until
from support.real_engine import EngineGround
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(120)
MARKER = "marker"
ALLOWED = ("initialize-command", "local-env:SECRET", "privileged")
SECRET = {"SECRET": "s3cret"}


@pytest.fixture(scope="module")
async def peer(shared_projects: Projects) -> AsyncGenerator[Peer]:
    """A server with nothing allowed."""
    async with shared_projects.open_peer(environment=SECRET) as made:
        yield made


@pytest.fixture(scope="module")
def evil(engine_ground: EngineGround, tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A folder below no root, and a container that names it."""
    folder = tmp_path_factory.mktemp("evil")
    (folder / ".devcontainer").mkdir()
    (folder / CONFIG).write_text(json.dumps({"image": BUSYBOX, "initializeCommand": f"touch {folder / MARKER}"}))
    labels = {FOLDER: folder, "devcontainer.config_file": folder / CONFIG}
    flags = [f"--label={label}={value}" for label, value in labels.items()]
    mount = f"--volume={folder}:/workspaces/evil"
    container = docker("run", "--detach", "--init", *flags, mount, BUSYBOX, "sleep", "600").strip()
    yield folder
    docker("rm", "--force", container)


@pytest.fixture(scope="module")
async def generous(shared_projects: Projects, evil: Path) -> AsyncGenerator[Peer]:
    """A server for the same projects whose operator allows some things."""
    flags = [f"--devcontainer-allow={word}" for word in ALLOWED]
    async with shared_projects.open_peer(*flags, environment=SECRET) as made:
        yield made


async def test_a_label_that_names_a_folder_supplies_nothing(evil: Path, generous: Peer) -> None:
    container = docker("ps", "--quiet", "--no-trunc", "--filter", f"label={FOLDER}={evil}").strip()
    with anyio.fail_after(60):
        assert "evil" not in json.dumps((await generous.ok("list_containers")).get("devcontainers", []))
        for asked in ({"name": "evil"}, {"name": container}, {"folder": str(evil)}):
            await generous.refused("recreate_devcontainer", force=True, **asked)
        await generous.refused("start_process", command="true", workspace="evil")
    assert not (evil / MARKER).exists()
    assert docker("inspect", "--format", "{{.State.Running}} {{.ExecIDs}}", container).split() == ["true", "[]"]


async def test_what_is_not_allowed_is_refused_all_at_once_and_nothing_of_it_runs(
    shared_projects: Projects, peer: Peer, generous: Peer, tmp_path: Path
) -> None:
    project, strong, compose = (shared_projects.project(name) for name in ("shop", "strong", "compose"))
    compose.define(dockerComposeFile="compose.yaml", service="app")
    marker = tmp_path / MARKER
    project.define(
        initializeCommand=f"touch {marker}",
        containerEnv={"STOLEN": "${localEnv:SECRET}"},
        mounts=["type=bind,source=/etc,target=/host"],
        runArgs=["--pid=host"],
        capAdd=["SYS_ADMIN"],
    )
    # An image can ask for rights, too; that is known only when the CLI has merged it in.
    image = f"{strong.name}:1"
    label = json.dumps([{"privileged": True}])
    strong.write("image/Dockerfile", f"FROM {BUSYBOX}\nLABEL devcontainer.metadata='{label}'\n")
    docker("build", "--quiet", "--tag", image, str(strong.folder / "image"))
    strong.define(image=image)
    with anyio.fail_after(90):
        refusal = await peer.refused("recreate_devcontainer", folder=str(project.folder))
        for word in ("initialize-command", "local-env:SECRET", "mount:/etc", "run-arg:--pid", "capability:SYS_ADMIN"):
            assert f"--devcontainer-allow {word}" in refusal
        assert "s3cret" not in refusal
        assert project.containers == []
        refusal = await peer.refused("recreate_devcontainer", folder=str(strong.folder))
        assert "--devcontainer-allow privileged" in refusal
        assert strong.containers == []
        refusal = await peer.refused("recreate_devcontainer", folder=str(compose.folder))
        assert "--devcontainer-allow compose" in refusal
        assert not marker.exists()
        project.define(initializeCommand=f"touch {marker}", containerEnv={"GIVEN": "${localEnv:SECRET}"})
        plan = await recreate(generous, folder=str(project.folder), dry_run=True)
        assert f"initializeCommand: touch {marker}" in cast("list[str]", plan["runs"])
        assert not marker.exists()
        await recreate(generous, folder=str(project.folder))
        assert marker.exists()
        environment = cast("Json", project.inspected()["Config"])["Env"]
        assert "GIVEN=s3cret" in cast("list[str]", environment)


async def test_no_word_of_the_operator_mounts_the_state_directory(shared_projects: Projects) -> None:
    project, state = shared_projects.project("greedy"), shared_projects.instance.state
    flags = ("--root", str(state.parent), "--devcontainer-allow", f"mount:{state}")
    with anyio.fail_after(90):
        async with shared_projects.open_peer(*flags) as peer:
            for source in (state, state.parent, "/run"):
                project.define(mounts=[f"type=bind,source={source},target=/host"])
                refusal = await peer.refused("recreate_devcontainer", folder=str(project.folder))
                assert "what no workspace may have" in refusal
            # Without one of its own a folder's repository is the one that it is in, and that is mounted.
            project.define()
            git(state.parent, "init", "-q")
            refusal = await peer.refused("recreate_devcontainer", folder=str(project.folder))
            assert "the workspace's mount" in refusal
            assert "what no workspace may have" in refusal
            shutil.rmtree(state.parent / ".git")
            assert project.containers == []
            assert (await recreate(peer, folder=str(project.folder)))["change"] == "created"


async def test_a_directory_that_is_swapped_for_a_link_at_the_start_is_found_out(
    shared_projects: Projects, peer: Peer
) -> None:
    project = shared_projects.project("swapped")
    data, aside, other = (project.folder / name for name in ("data", "aside", "other"))
    data.mkdir()
    other.mkdir()
    (other / "secret").write_text("s3cret")
    project.define(mounts=["type=bind,source=${localWorkspaceFolder}/data,target=/data"])
    with anyio.fail_after(90):
        container = container_of(await recreate(peer, folder=str(project.folder)))
        assert await output_of(peer, "ls /data", project.name) == ""
        docker("stop", "--time", "0", container)
        data.rename(aside)
        data.symlink_to(other)
        docker("start", container)
        data.unlink()
        aside.rename(data)
        # The engine shows the innocent path, and has the other directory.
        assert docker("exec", container, "cat", "/data/secret") == "s3cret"
        refusal = await peer.refused("start_process", command="cat /data/secret", workspace=project.name)
        assert "at /data another directory is mounted" in refusal
        assert "s3cret" not in refusal
        docker("restart", "--time", "0", container)

        async def is_well() -> bool:
            result = await peer.call("start_process", command="ls /data", workspace=project.name)
            return not result.is_error

        await until(is_well)


async def test_a_definition_that_is_changed_while_it_is_used_counts_as_it_was_checked(
    shared_projects: Projects, peer: Peer, tmp_path: Path
) -> None:
    project = shared_projects.project("changed")
    marker = tmp_path / MARKER
    project.define()
    with anyio.fail_after(90):

        async def is_begun() -> bool:
            await anyio.lowlevel.checkpoint()
            return bool(project.cli_processes)

        working = await peer.ok("recreate_devcontainer", folder=str(project.folder), wait_s=0)
        assert working["change"] == "working"
        # It was read and checked; the CLI is asked what the image adds, and has not made anything.
        await until(is_begun)
        project.define(initializeCommand=f"touch {marker}", privileged=True)
        made = await recreate(peer, folder=str(project.folder))
        assert made["change"] == "created"
        assert not marker.exists()
        found = await listed(peer, project.name)
        assert (found["container"], found["reasons"]) == (container_of(made), ["privileged added"])
        assert cast("Json", project.inspected()["HostConfig"])["Privileged"] is False
        assert "--devcontainer-allow privileged" in await peer.refused("recreate_devcontainer", name=project.name)
        assert project.containers == [container_of(made)]
