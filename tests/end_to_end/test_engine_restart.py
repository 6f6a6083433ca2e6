"""An engine that crashes and starts again: the containers live on, and so does everything about their processes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.instances import IMAGE
from support.peers import open_peer
from support.private_engine import PrivateEngine, open_private_engine
from support.real_engine import EngineGround

TICKER = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.02; done'


@pytest.fixture
def private_engine(engine_ground: EngineGround) -> Generator[PrivateEngine]:
    """An engine that only this test uses."""
    with open_private_engine(IMAGE) as engine:
        yield engine


async def test_processes_outlive_a_crash_of_the_engine(private_engine: PrivateEngine, tmp_path: Path) -> None:
    with anyio.fail_after(90):
        environment = {"DOCKER_HOST": private_engine.url}
        async with open_peer(tmp_path / "state", "--image", IMAGE, environment=environment) as peer:
            await peer.ok("provision_workspace")
            process = await peer.start(TICKER, wait_s=0)
            page = await peer.read(process, wait_for="pattern", pattern="line 3", wait_s=30)
            private_engine.kill()
            assert "engine" in await peer.refused("start_process", command="true")
            assert "engine" in str((await peer.ok("list_containers"))["unknown"])
            await anyio.to_thread.run_sync(private_engine.start)
            assert (await peer.processes())[process]["state"] == "running"
            following = await peer.read(process, offset=page.next_offset)
            lines = (page.output + following.output).splitlines()
            assert following.start == page.next_offset
            assert lines == [f"line {number + 1}" for number in range(len(lines))]
            assert await peer.start("true", wait_s=30)
