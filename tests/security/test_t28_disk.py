"""T28: a workspace that fills its volume is paused, what it ran is kept, and the audit says so."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from support.instances import Instance
from support.peers import Json, Peer, until
from support.tier_probe import output_of

from ws_mcp.core.audit.review import entries_of, files_of

QUOTA = ("--volume-mib", "2", "--audit", "on")
FILL = "dd if=/dev/zero of=/workspace/big bs=1M count=5 2>/dev/null"


def audited(state: Path) -> list[tuple[object, object, object]]:
    """What the server did by itself: what, to which workspace, by which rule."""
    entries = (entry.fields for file in files_of(state) for entry in entries_of(file))
    return [(e["verb"], e.get("shown"), e.get("rule")) for e in entries if e.get("via") == "own"]


async def main_of(peer: Peer) -> Json:
    return (await peer.workspaces())["main"]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_workspace_over_its_quota_stands_still_until_files_are_deleted(instance: Instance, mode: str) -> None:
    async def is_paused() -> bool:
        return (await main_of(peer))["state"] == "paused"

    async def is_running() -> bool:
        return (await main_of(peer))["state"] == "running"

    with anyio.fail_after(110):
        async with instance.open_peer(*QUOTA, mode=mode) as peer:
            await peer.ok("provision_workspace")
            process = await peer.start("while sleep 0.1; do :; done")
            await output_of(peer, FILL)
            assert await is_running()
        # A server looks once it starts, and then each minute.
        async with instance.open_peer(*QUOTA, mode=mode) as peer:
            await until(is_paused)
            assert "its data takes 5 MiB of 2: call provision_workspace" in str((await main_of(peer))["notes"])
            refused = await peer.refused("start_process", command="true")
            assert "does not answer now: it is paused: its data takes 5 MiB of 2" in refused
            assert (await peer.ok("provision_workspace"))["change"] == "resumed"
            assert (await peer.processes())[process]["state"] == "running"
            await output_of(peer, "rm /workspace/big")
            await peer.ok("list_containers")
        async with instance.open_peer(*QUOTA, mode=mode) as peer:
            await until(is_running)
            assert (await peer.ok("provision_workspace"))["change"] == "none"
    assert audited(instance.state) == [("pause_workspace", {"workspace": "main"}, "volume_mib")]
