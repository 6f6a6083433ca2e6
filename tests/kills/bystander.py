"""Another instance on the same engine, with a server that lives: nothing that happens to the first one may reach it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kills.checks import LINE
from kills.ground import Ground, open_ground
from kills.story import COUNTER
from support.images import BUSYBOX
from support.peers import Peer, open_peer

from ws_mcp.core.engine.docker import DockerEngine


@dataclass
class Bystander:
    """Its server, its container, its counting process, and a process of this machine that looks like one of a place."""

    ground: Ground
    peer: Peer
    stranger: subprocess.Popen[bytes]
    process: str = ""
    _text: str = ""
    _offset: int = 0
    _containers: tuple[object, ...] = ()

    async def begin(self) -> None:
        await self.peer.ok("provision_workspace", kind="container")
        self.process = await self.peer.start(COUNTER, wait_s=0)
        self._containers = await self._told()

    async def works(self) -> None:
        """Something that it does while the other one is hit."""
        if await self.peer.start("true", wait_s=30) == "":
            raise AssertionError("it cannot start a process")

    async def touched(self) -> list[str]:
        """What is not as it was, or what it can see of others."""
        found: list[str] = []
        if await self._told() != self._containers:
            found.append(f"the other instance's containers: {self._containers} -> {await self._told()}")
        if set(await self.peer.workspaces()) != {"main"}:
            found.append(f"the other instance sees {await self.peer.workspaces()}")
        page = await self.peer.read(self.process, offset=self._offset, limit=39_000)
        self._text, self._offset = self._text + page.output, page.next_offset or self._offset
        numbers = [int(number) for number in LINE.findall(self._text)]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"the other instance's output: {numbers[-20:]}")
        if (await self.peer.processes())[self.process]["state"] != "running":
            found.append("the other instance's process")
        if self.stranger.poll() is not None:
            found.append("a process of this machine")
        return found

    async def _told(self) -> tuple[object, ...]:
        containers = await self.ground.containers()
        return tuple(
            (each.id, each.name, each.state, each.started_at, sorted(each.labels.items())) for each in containers
        )


@asynccontextmanager
async def open_bystander(directory: Path, engine: DockerEngine) -> AsyncGenerator[Bystander]:
    """One for many runs."""
    stranger = _stranger()
    try:
        async with (
            open_ground(directory, engine) as ground,
            open_peer(directory / "state", "--image", BUSYBOX) as peer,
        ):
            bystander = Bystander(ground, peer, stranger)
            await bystander.begin()
            yield bystander
    finally:
        with suppress(ProcessLookupError):
            stranger.kill()
        stranger.wait()


def _stranger() -> subprocess.Popen[bytes]:
    """It has the mark of a process of a place that nobody has."""
    environment = {**os.environ, "WSMCP_PROCESS": "wsmcp-aaaaaaaaaaaaaaaaaaaa/p_aaaaaaaa"}
    return subprocess.Popen(("sleep", "100000"), env=environment, start_new_session=True)
