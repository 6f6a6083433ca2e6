"""A policy on a real engine: what it lists is had, what it does not list is not, and flags only narrow it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.instances import IMAGE, Instance
from support.policies import DIGEST, written

ME = f'[[grant]]\nprincipal = "local:{os.getuid()}"\n'


@pytest.mark.long("podman")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_what_a_policy_lists_is_had_and_nothing_else(each_instance: Instance, tmp_path: Path, mode: str) -> None:
    image_id = each_instance.docker("image", "inspect", "--format", "{{.Id}}", IMAGE).strip()
    digest = image_id if image_id.startswith("sha256:") else f"sha256:{image_id}"
    tools = 'tools = ["provision_workspace", "start_process", "list_*"]\n'
    file = written(tmp_path / "p.toml", ME + tools + f'images = ["{IMAGE}@{digest}"]\n')
    async with each_instance.open_peer("--policy", str(file), mode=mode) as peer:
        assert "'evil:1' is not one" in await peer.refused("provision_workspace", image="evil:1")
        assert "the most is tier 2" in await peer.refused("provision_workspace", tier=3)
        assert "no local workspaces" in await peer.refused("provision_workspace", kind="local")
        assert each_instance.containers == []
        await peer.ok("provision_workspace")
        assert "does not give you remove_workspace" in await peer.refused("remove_workspace", name="main")
    written(file, ME + tools + f'images = ["{IMAGE}@{DIGEST}"]\n')
    async with each_instance.open_peer("--policy", str(file), mode=mode) as peer:
        assert "another digest" in await peer.refused("provision_workspace", name="second")
        assert len(each_instance.containers) == 1


@pytest.mark.long("podman")
async def test_a_workspace_of_a_higher_tier_is_out_of_reach_once_it_is_not_granted(
    each_instance: Instance, tmp_path: Path
) -> None:
    wide = 'tools = ["*"]\nimages = ["*"]\n'
    file = written(tmp_path / "p.toml", ME + wide)
    async with each_instance.open_peer("--policy", str(file)) as peer:
        await peer.ok("provision_workspace", tier=2)
        process = await peer.start("echo there; exec cat", keep_stdin=True)
        assert (await peer.read(process)).output == "there\n"
    for flags in (("--max-tier", "1"), ("--read-only",)):
        async with each_instance.open_peer("--policy", str(file), *flags) as peer:
            await peer.refused("start_process", command="id")
            await peer.refused("provision_workspace")
            assert [*(await peer.workspaces())] == ["main"]
    async with each_instance.open_peer("--policy", str(file), "--max-tier", "1") as peer:
        for tool, arguments in (
            ("start_process", {"command": "id"}),
            ("write_input", {"process_id": process, "text": "x\n"}),
            ("workspace_files", {"action": "write", "path": "/workspace/x", "content": "x"}),
        ):
            assert "not granted now" in await peer.refused(tool, **arguments)
        await peer.ok("signal_process", process_id=process, signal="KILL")
        await peer.ok("remove_workspace", name="main")
    assert each_instance.containers == []
