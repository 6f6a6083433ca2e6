"""Folders with names that a shell would take for more than a name, and folders that nobody may write."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import anyio
import pytest
from support.dev_projects import Projects, recreate
from support.images import BUSYBOX
from support.peers import Json, Peer
from support.tier_probe import output_of

pytestmark = pytest.mark.timeout(180)


@contextmanager
def read_only(folder: Path) -> Generator[None]:
    """A folder that nobody can write to, root included."""
    subprocess.run(("mount", "--bind", folder, folder), check=True)
    try:
        subprocess.run(("mount", "-o", "remount,ro,bind", folder), check=True)
        yield
    finally:
        subprocess.run(("umount", "--lazy", folder), check=True)


@pytest.mark.long  # names are in core/devcontainers
async def test_a_folder_is_a_name_whatever_a_shell_would_make_of_it(shared_projects: Projects, peer: Peer) -> None:
    project = shared_projects.project("$(touch pwned) ;touch pwned& 'x")
    project.dockerfile("RUN echo one > /version", postCreateCommand="echo made > /made")
    with anyio.fail_after(120):
        made = cast("Json", (await recreate(peer, folder=str(project.folder)))["devcontainer"])
        assert (made["state"], made["dirty"]) == ("running", "clean")
        assert str(made["name"]).replace("-", "").isalnum()
        said = await output_of(peer, "cat /version /made; pwd", str(made["name"]))
        assert said == f"one\nmade\n/workspaces/{project.name}"
        project.dockerfile("RUN echo two > /version")
        made = cast("Json", (await recreate(peer, name=made["name"]))["devcontainer"])
        assert await output_of(peer, "cat /version", str(made["name"])) == "two"
    assert not list(shared_projects.root.rglob("pwned"))


async def test_a_folder_that_cannot_be_written_can_have_a_dev_container(shared_projects: Projects, peer: Peer) -> None:
    plain, featured = shared_projects.project("plain"), shared_projects.project("featured")
    plain.define()
    feature = {"id": "hello", "version": "1.0.0", "name": "hello"}
    featured.write(".devcontainer/hello/devcontainer-feature.json", json.dumps(feature))
    featured.write(".devcontainer/hello/install.sh", "echo hello > /hello\n")
    featured.define(image=BUSYBOX, features={"./hello": {}})
    with anyio.fail_after(120), read_only(plain.folder), read_only(featured.folder):
        made = await recreate(peer, folder=str(plain.folder))
        assert made["change"] == "created"
        assert await output_of(peer, "echo works", plain.name) == "works"
        await recreate(peer, folder=str(featured.folder))
        assert await output_of(peer, "cat /hello", featured.name) == "hello"
