"""T09, images: what an image says with labels like ours makes nothing ours, and takes nothing of ours away."""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import pytest
from support.images import BUSYBOX
from support.instances import Instance
from support.workspace_ground import an_engine, open_service
from support.workspace_values import SCOPE

MORE = {"dev.ws-mcp.extra": "1", "dev.ws-mcp.folder": "/etc"}
KEPT = "/workspace/kept.txt"


@contextmanager
def image_like(instance: Instance, container: str, **more: str) -> Generator[str]:
    """An image with all labels of a container, and more."""
    found = json.loads(instance.docker("inspect", "--format", "{{json .Config.Labels}}", container))
    labels = cast("dict[str, str]", found) | more
    changes = [word for name, value in labels.items() for word in ("--change", f"LABEL {name}={json.dumps(value)}")]
    image, base = f"wsmcp-test-labels-{secrets.token_hex(4)}:1", instance.docker("create", BUSYBOX).strip()
    try:
        instance.docker("commit", *changes, base, image)
        yield image
    finally:
        instance.docker("rm", base)
        instance.docker("rmi", "--force", image)


@pytest.mark.parametrize("more", [{}, MORE])
async def test_what_was_made_from_an_image_with_our_labels_is_a_strangers(
    instance: Instance, more: dict[str, str]
) -> None:
    with anyio.fail_after(100):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            await peer.ok("workspace_files", action="write", path=KEPT, content="kept")
            victim = instance.container
            with image_like(instance, victim, **more) as image:
                stranger = instance.docker("run", "--detach", image, "sleep", "600").strip()
                try:
                    assert set(await peer.workspaces()) == {"main"}
                    assert "no workspace" in await peer.refused("stop_workspace", name=stranger[:12])
                    assert "no workspace" in await peer.refused("remove_workspace", name=stranger[:12])
                    assert "no workspace" in await peer.refused("start_process", command="x", workspace=stranger[:12])
                    assert (await peer.ok("provision_workspace"))["change"] == "none"
                    await peer.ok("remove_workspace", name="main")
                    state = instance.docker("inspect", "--format", "{{.State.Running}}", stranger)
                    assert state.strip() == "true"
                finally:
                    instance.docker("rm", "--force", stranger)


@pytest.mark.parametrize("more", [{}, MORE])
async def test_a_workspace_of_such_an_image_is_its_owners_like_any_other(
    instance: Instance, more: dict[str, str]
) -> None:
    with anyio.fail_after(100):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            await peer.ok("workspace_files", action="write", path=KEPT, content="kept")
            victim = instance.container
            with image_like(instance, victim, **more) as image:
                asked = {"name": "other", "image": image}
                assert (await peer.ok("provision_workspace", **asked))["change"] == "created"
                assert (await peer.ok("provision_workspace", **asked))["change"] == "none"
                assert set(await peer.workspaces()) == {"main", "other"}
                await peer.ok("remove_workspace", name="other", keep_data=False)
                assert instance.containers == [victim]
            found = await peer.ok("workspace_files", action="list", path="/workspace")
            assert "kept.txt" in json.dumps(found)


async def test_labels_of_an_image_that_look_like_ours_are_emptied_and_signed(tmp_path: Path) -> None:
    fake = an_engine()
    fake.add_image(replace(await fake.image("img:1"), labels={**MORE, "dev.ws-mcp.tier": "4", "theirs": "yes"}))
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        labels = (await fake.inspect(made.place)).labels
        assert {name: labels[name] for name in MORE} == dict.fromkeys(MORE, "")
        assert labels["dev.ws-mcp.tier"] == "2"
        assert (await service.provision()).change == "none"
        assert await service.workspaces.find(SCOPE, made.name) is not None
