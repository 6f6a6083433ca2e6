"""What a run stands on: its state directory, what it has on the engine and among processes, and strangers beside it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from support.images import BUSYBOX

from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import Container, ContainerSpec, Network, Volume
from ws_mcp.core.errors import EngineNotFoundError
from ws_mcp.core.execd import delivery
from ws_mcp.core.host.sandbox import socket_root
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Ledger

STRANGER = "wsmcp-test-stranger-"
PASSING = ("-new", "-old", "-files", "-fill")  # what a workspace's names end in while it is made
PASSING_FILES = (".new", ".tmp", ".partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the engine has, of everybody."""

    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]
    networks: tuple[Network, ...]


@dataclass
class Ground:
    """One run's. `places`: the names of all places that were ever seen; what carries one is of this run."""

    engine: DockerEngine
    state: State
    places: set[str] = field(default_factory=set[str])
    _strangers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def instance(self) -> str:
        return self.state.instance.id

    async def look(self) -> Seen:
        """All that is on the engine."""
        return Seen(
            containers=await self.engine.list_containers({}),
            volumes=await self.engine.list_volumes({}),
            networks=await self.engine.list_networks({}),
        )

    async def containers(self) -> tuple[Container, ...]:
        """The containers of the instance, whatever they are called now."""
        mine = await self.engine.list_containers({naming.INSTANCE: self.instance})
        found = tuple(each for each in mine if not each.name.startswith(STRANGER))
        self.places |= {_place(each.name) for each in found}
        return found

    async def container(self, workspace: str) -> Container | None:
        """The container of a workspace of the instance, looked at whole."""
        named = [each for each in await self.containers() if each.labels.get(naming.WORKSPACE) == workspace]
        for each in sorted(named, key=lambda one: len(one.name)):
            with suppress(EngineNotFoundError):
                return await self.engine.inspect(each.id)
        return None

    async def is_settled(self) -> bool:
        """Whether nothing is begun and nothing on the engine is on its way from one state to another."""
        if await Ledger(self.state, utc_now).intents():
            return False
        seen = await self.look()
        await self.containers()
        return not any(_is_passing(each.name, self.places, self.instance) for each in seen.containers)

    async def unaccounted(self) -> list[str]:
        """What the instance has on the engine that belongs to no container of it; the data of a removed one, too."""
        seen = await self.look()
        owners = {each.name for each in await self.containers()}
        execd = delivery.volume_prefix(self.instance)
        found = [("container", each) for each in owners if each not in {_place(each) for each in owners}]
        for kind, objects in (("volume", seen.volumes), ("network", seen.networks)):
            for each in objects:
                is_mine = each.labels.get(naming.INSTANCE) == self.instance or _place(each.name) in self.places
                if is_mine and not each.name.startswith((STRANGER, execd)) and _place(each.name) not in owners:
                    found.append((kind, each.name))
        helpers = [("container", c.name) for c in seen.containers if _is_passing(c.name, self.places, self.instance)]
        return [f"{kind} {name}" for kind, name in (*found, *helpers)]

    async def add_strangers(self) -> None:
        """Objects of others that look like ours: our labels, but no signature of ours for their name."""
        labels = {naming.INSTANCE: self.instance, naming.KIND: "container", naming.WORKSPACE: "main"}
        labels |= {naming.SIGNATURE: "0" * 64, naming.PRINCIPAL: "local:0", naming.CHAT: "c_x", naming.TIER: "2"}
        name = f"{STRANGER}{self.instance}"
        await self.engine.create(ContainerSpec(name=name, image=BUSYBOX, labels=labels, command=("true",)))
        await self.engine.create_volume(name, {**labels, naming.KIND: "volume"})
        await self.engine.create_network(name, {**labels, naming.KIND: "network"}, is_internal=True)
        self._strangers = await self._told_strangers()

    async def touched(self) -> list[str]:
        """Which strangers are not as they were."""
        now = await self._told_strangers()
        return [f"{what}: {was} -> {now.get(what)}" for what, was in self._strangers.items() if now.get(what) != was]

    async def _told_strangers(self) -> Mapping[str, str]:
        seen = await self.look()
        mine = f"{STRANGER}{self.instance}"
        return {
            **{f"container {c.name}": f"{c.id} {c.state} {c.labels}" for c in seen.containers if c.name == mine},
            **{f"volume {v.name}": f"{v.created_at} {v.labels}" for v in seen.volumes if v.name == mine},
            **{f"network {n.name}": f"{n.labels} {n.subnets}" for n in seen.networks if n.name == mine},
        }

    def local_places(self) -> list[str]:
        """Places of local workspaces that have a directory."""
        found = [path.name for path in (self.state.directory / "local").glob("wsmcp-*")]
        self.places |= set(found)
        return found

    def processes(self) -> dict[int, str]:
        """Everything that runs on this machine and is of a place of the run: pid and command line."""
        return dict(_all_processes(self.places))

    def bridges(self) -> dict[str, int]:
        """How many bridges to the execd of each container run: each server that speaks to it has one."""
        found = dict.fromkeys(self.places, 0)
        for line in self.processes().values():
            for place in self.places:
                found[place] += "attach" in line.split() and place in line
        return found

    def files(self) -> list[str]:
        """What should not be in the state directory and in shared memory once every workspace is removed."""
        state = self.state.directory
        passing = [f"state/{p.relative_to(state)}" for p in state.rglob("*") if p.name.endswith(PASSING_FILES)]
        sockets = [f"socket of {place}" for place in self.places if (socket_root() / place).exists()]
        return [*passing, *sockets, *(f"state/local/{place}" for place in self.local_places())]

    async def clear(self) -> None:
        """Take away what the run has left, strangers included."""
        seen = await self.look()

        def mine(name: str, labels: Mapping[str, str]) -> bool:
            return labels.get(naming.INSTANCE) == self.instance or _place(name) in self.places

        for container in seen.containers:
            if mine(container.name, container.labels):
                await self.engine.remove(container.id)
        for volume in seen.volumes:
            if mine(volume.name, volume.labels):
                await self.engine.remove_volume(volume.name)
        for network in seen.networks:
            if mine(network.name, network.labels):
                await self.engine.remove_network(network.name)

    async def is_running(self, container: ContainerId) -> bool:
        try:
            return bool((await self.engine.inspect(container)).pid)
        except EngineNotFoundError:
            return False


@asynccontextmanager
async def open_ground(directory: Path, engine: DockerEngine) -> AsyncGenerator[Ground]:
    """An instance in a directory; what it has on the engine is gone at the end."""
    await anyio.Path(directory).mkdir(exist_ok=True)
    async with open_state(directory / "state") as state:
        ground = Ground(engine, state)
        try:
            yield ground
        finally:
            with anyio.CancelScope(shield=True):
                await ground.clear()


def _place(name: str) -> str:
    """The place that a name of an object belongs to."""
    return "-".join(name.split("-")[:2])


def _is_passing(name: str, places: set[str], instance: str) -> bool:
    return name.endswith(PASSING) and (_place(name) in places or instance in name)


def _all_processes(places: set[str]) -> list[tuple[int, str]]:
    words = [place.encode() for place in places]
    found: list[tuple[int, str]] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line, environment = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        if int(path.name) != os.getpid() and line and any(word in line + environment for word in words):
            found.append((int(path.name), line.replace(b"\0", b" ").decode(errors="replace")))
    return found
