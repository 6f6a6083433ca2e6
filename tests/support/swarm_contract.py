"""Where the contract of the doors to a swarm is run: on the one in memory, and on three real nodes."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio
import anyio.to_thread
import pytest

from support.fake_swarm import FakeSwarm
from support.images import BUSYBOX
from support.swarm_nodes import SwarmGround
from ws_mcp.core.engine.model import Image
from ws_mcp.core.engine.node_ways import node_ways_of
from ws_mcp.core.engine.nodes import open_swarm
from ws_mcp.core.engine.swarm import Patience
from ws_mcp.core.engine.swarm_model import Room, RoomSpec, SwarmNode
from ws_mcp.core.engine.swarm_port import Managers, NodeEngines
from ws_mcp.core.errors import EngineTimeoutError, EngineUnavailableError
from ws_mcp.core.execd.hold import COMMAND, ensure_hold, hold_image

WAIT_S = 90.0  # for anything of a real swarm on a busy machine
MEMORY = 64 << 20
PATIENCE = Patience(election_s=3.0)  # the tests wait for elections themselves
LABELS: Mapping[str, str] = {"test.rooms": "mine"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The two doors, and what a test does to the machines behind them."""

    managers: Managers
    engines: NodeEngines
    prefix: str  # of the names of what this test makes
    lose: Callable[[str], Awaitable[None]]  # by host name: a power cut
    bring_back: Callable[[str], Awaitable[None]]
    set_availability: Callable[[str, str], Awaitable[None]]
    unnamed: str  # the host name of a node that nobody said how to reach

    async def node(self, hostname: str) -> SwarmNode:
        """A node, by its host name."""
        return next(node for node in await self.managers.nodes() if node.hostname == hostname)

    def spec(self, name: str, **fields: object) -> RoomSpec:
        """A room that fits everywhere."""
        about: dict[str, object] = {"memory_bytes": MEMORY, "cpus": 0.1, "labels": LABELS, **fields}
        return RoomSpec(name=f"{self.prefix}{name}", image=hold_image(), command=COMMAND, **about)  # pyright: ignore[reportArgumentType]

    async def made(self, spec: RoomSpec) -> Room:
        """The room of a spec, once it is somewhere."""
        await self.managers.create_room(spec)
        return await self.until(spec.name, lambda room: bool(room.assigned))

    async def pinned(self, room: Room) -> Room:
        """The same room, which has to stay where it is."""
        return await self.changed(room.spec.name, node=room.node)

    async def changed(self, name: str, **fields: object) -> Room:
        """The room after a change, as soon as it is looked at."""
        room = await self.managers.room(name)
        await self.managers.change_room(room, replace(room.spec, **fields))  # pyright: ignore[reportArgumentType]
        return await self.managers.room(name)

    async def until(self, name: str, is_so: Callable[[Room], bool]) -> Room:
        """The room once it is as wanted."""
        return await eventually(lambda: self.managers.room(name), is_so)


async def eventually(ask: Callable[[], Awaitable[T]], is_so: Callable[[T], bool]) -> T:
    """What is answered, once that is as wanted; while nobody can be asked, that is waited for."""
    answer: object = None
    with anyio.move_on_after(WAIT_S):
        while True:
            try:
                answer = found = await ask()
                if is_so(found):
                    return found
            except (EngineTimeoutError, EngineUnavailableError) as error:
                answer = error
            await anyio.sleep(0.1)
    raise AssertionError(f"not so after {WAIT_S} s: {answer}")


class OnFakeSwarm:
    """Runs a contract on the swarm in memory, on both event loops."""

    @pytest.fixture
    async def doors(self) -> Doors:
        swarm = FakeSwarm()
        for engine in swarm.engine_of.values():
            engine.add_image(Image(id="sha256:" + "b" * 64, tags=(BUSYBOX,), architecture="amd64", command=("sh",)))
            await ensure_hold(engine, "amd64")
        swarm.add_node("node-4", architecture="arm64")
        swarm.unnamed.add("node-4")
        swarm.change("node-4", availability="pause")

        async def bring_back(hostname: str) -> None:
            swarm.bring_back(hostname)
            await anyio.lowlevel.checkpoint()

        async def set_availability(hostname: str, availability: str) -> None:
            swarm.set_availability(hostname, availability)
            await anyio.lowlevel.checkpoint()

        return Doors(
            managers=swarm.managers,
            engines=swarm.engines,
            prefix="wsmcp-test-",
            lose=swarm.lose,
            bring_back=bring_back,
            set_availability=set_availability,
            unnamed="node-4",
        )


class OnRealSwarm:
    """Runs a contract on three real nodes. The server is at node-1; nobody says how node-3 is reached."""

    _numbers = itertools.count()

    @pytest.fixture
    async def doors(self, swarm_ground: SwarmGround) -> AsyncGenerator[Doors]:
        first, second, _ = swarm_ground.nodes
        prefix = f"wsmcp-test-{os.getpid()}-{next(self._numbers)}-"

        async def set_availability(hostname: str, availability: str) -> None:
            node = await anyio.to_thread.run_sync(swarm_ground.id_of, hostname)
            first.docker("node", "update", "--availability", availability, node)

        async def lose(hostname: str) -> None:
            await anyio.to_thread.run_sync(swarm_ground.kill, hostname)

        async def bring_back(hostname: str) -> None:
            await anyio.to_thread.run_sync(swarm_ground.start, hostname)

        ways = node_ways_of([f"{second.hostname}={second.tcp}"])
        async with open_swarm(first.url, ways, patience=PATIENCE) as (managers, engines):
            for node in swarm_ground.nodes:
                everywhere = node_ways_of([f"*=unix://{swarm_ground.home}/{{hostname}}/docker.sock"])
                async with open_swarm(node.url, everywhere) as (_, each):
                    found = next(n for n in await managers.nodes() if n.hostname == node.hostname)
                    await ensure_hold(each.engine(found), found.architecture)
            yield Doors(
                managers=managers,
                engines=engines,
                prefix=prefix,
                lose=lose,
                bring_back=bring_back,
                set_availability=set_availability,
                unnamed="node-3",
            )
            await anyio.to_thread.run_sync(swarm_ground.mend)
            for room in await managers.rooms({}):
                await managers.remove_room(room)
            for network in await managers.overlays({}):
                if network.name.startswith("wsmcp-net-"):
                    await managers.remove_overlay(network.name)
