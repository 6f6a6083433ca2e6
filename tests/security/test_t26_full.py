"""T26: where no process can be started any more, one can still be ended: execd is inside already and forks nothing."""

from __future__ import annotations

import anyio
import pytest
from support.instances import Instance
from support.peers import Peer
from support.tier_probe import output_of

FILL = """exec awk 'BEGIN { while (1) system("sleep 600 &") }' 2>/dev/null"""


async def fill(peer: Peer) -> str:
    """Start processes until nothing starts any more; returns the one that goes on trying."""
    filler = await peer.start(FILL, wait_s=0)
    while not (await peer.call("start_process", command=["true"], wait_s=5)).is_error:
        pass
    return filler


@pytest.mark.parametrize("tier", [1, 2])
async def test_a_process_is_ended_in_a_workspace_that_is_full(instance: Instance, tier: int) -> None:
    with anyio.fail_after(110):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", tier=tier)
            sleepers = [await peer.start(["sleep", "600"], wait_s=0) for _ in range(2)]
            filler = await fill(peer)
            for process, signal in zip(sleepers, ("TERM", "KILL"), strict=True):
                ended = await peer.ok("signal_process", process_id=process, signal=signal)
                assert (ended["state"], ended["left"], ended["signal"]) == ("ended", 0, signal)
            gone = await peer.ok("signal_process", process_id=filler, signal="KILL")
            assert gone["left"] == 0
            assert await output_of(peer, "echo room again") == "room again"


async def test_a_full_workspace_is_stopped_and_removed_as_any_other(instance: Instance) -> None:
    with anyio.fail_after(110):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", tier=1)
            await fill(peer)
            await peer.ok("remove_workspace", name="main", keep_data=False)
            assert instance.containers == []
