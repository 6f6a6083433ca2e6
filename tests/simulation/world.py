"""Everything of one run: an engine with execds, a state directory, servers on it, chats, and what is written down."""

from __future__ import annotations

import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import anyio
from anyio.abc import TaskGroup
from simulation.engine import SimEngine
from simulation.execds import Execds
from simulation.faults import Calm, Injector
from simulation.seeding import SERVER
from simulation.server import Server
from support.fake_files import Entry
from support.fake_world import BEGAN

from ws_mcp.core.choices import Choices
from ws_mcp.core.database import Instance
from ws_mcp.core.engine.model import ContainerSpec, Image, Volume
from ws_mcp.core.ids import ContainerId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.runtime import Core
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.rules import WorkspaceRules

IMAGE = Image(id="sha256:" + "1" * 64, tags=("img:1",), architecture="amd64", command=("sleep", "inf"))
CONVERGED_S = 35.0  # with all events dropped
PRECIOUS = "precious"
MAIN, OTHER = WorkspaceName("main"), WorkspaceName("b")


class ViolationError(AssertionError):
    """A promise that was not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat of the simulation. `marker`: stands in all that it writes, and in nothing of any other."""

    name: str
    scope: Scope
    handle: str

    @property
    def marker(self) -> str:
        return f"mark-{self.name}-{self.scope.chat[:6]}"


class World:
    """Made by `open_world`."""

    def __init__(self, directory: Path, chance: random.Random, tasks: TaskGroup) -> None:
        self.choices = Choices(state=directory / "state", workspaces=WorkspaceRules(default_image="img:1"))
        self.chance = chance
        self.tasks = tasks
        self.injector: Injector = Calm()
        self.execds = Execds(tasks)
        self.engine = SimEngine(chance, self.execds)
        self.engine.add_image(IMAGE)
        self.jump = timedelta()
        self.servers: dict[str, Server] = {}
        self.chats: list[Chat] = []
        self.trace: list[str] = []
        self.faulty: list[str] = []  # what the log says of bugs
        # By the name of the chat and of the workspace: what a provision has made and nobody has taken away since.
        self.wanted: set[tuple[str, str]] = set()
        self.wanted_data: set[tuple[str, str]] = set()
        self.taking: Counter[tuple[str, str]] = Counter()
        self.taken_at: defaultdict[tuple[str, str], float] = defaultdict(lambda: -math.inf)
        self.calls = 0  # that chats have made

    def now(self) -> datetime:
        """Wall time, which may jump."""
        return BEGAN + timedelta(seconds=anyio.current_time()) + self.jump

    def say(self, text: str) -> None:
        """One line of the trace."""
        self.trace.append(f"{anyio.current_time():9.3f} {text}")

    def violate(self, text: str) -> NoReturn:
        self.say(f"VIOLATION {text}")
        raise ViolationError(text)

    def check(self, is_kept: bool, text: str) -> None:
        if not is_kept:
            self.violate(text)

    def next_call(self) -> int:
        self.calls += 1
        return self.calls

    async def start_server(self, name: str) -> Server:
        """A server under this name, where the one before it has ended; tried again if it cannot start."""
        while True:
            former = self.servers.get(name)
            if former is not None:
                await former.over.wait()
                if self.servers[name] is not former:
                    former = self.servers[name]  # somebody else was faster
                    await former.up.wait()
                    return former
            server = self.servers[name] = Server(name, self)
            self.tasks.start_soon(server.run)
            await server.up.wait()
            if server.core is not None:
                self.say(f"{name} is up")
                return server
            self.say(f"{name} cannot start: {server.failure}")
            await anyio.sleep(1)

    async def keep_up(self) -> None:
        """What a host does: a server that died is replaced by another, sooner or later."""
        while True:
            await anyio.sleep(0.5)
            for name, server in list(self.servers.items()):
                if server.over.is_set() and self.chance.random() < 0.3:
                    await self.start_server(name)

    def core(self, name: str) -> Core:
        core = self.servers[name].core
        assert core is not None
        return core

    async def make_chat(self, server: str, principal: str, name: str) -> Chat:
        made = await self.core(server).new_chat(PrincipalId(principal), name)
        chat = Chat(name=name, scope=Scope(principal=PrincipalId(principal), chat=made.id), handle=made.handle)
        self.chats.append(chat)
        return chat

    @property
    def instance(self) -> Instance:
        core = next(server.core for server in self.servers.values() if server.core is not None)
        return core.state.instance

    def place(self, chat: Chat, name: WorkspaceName) -> str:
        return naming.place_name(self._instance_id, chat.scope, name)

    def remember_instance(self) -> None:
        """Once: it never changes."""
        self._instance_id = self.instance.id

    def may_be_unseen(self, container: str) -> bool:
        """Whether events that were not told are an excuse for not knowing of a container."""
        found = self.engine.containers.get(ContainerId(container))
        if found is None or found.started_at is None:
            return True
        age_s = (BEGAN + timedelta(seconds=anyio.current_time()) - found.started_at).total_seconds()
        return age_s < CONVERGED_S and anyio.current_time() - self.engine.untold_at < CONVERGED_S

    def container(self, chat: Chat, name: WorkspaceName) -> str:
        """The id of the container of a workspace; "" if there is none."""
        place = self.place(chat, name)
        return next((each.id for each in self.engine.containers.values() if each.spec.name == place), "")

    def keep(self, chat: Chat, name: WorkspaceName, since: float) -> None:
        """A provision that began at `since` was answered: from now on it must be there, and what is in its volume."""
        if self.taking[chat.name, name] or self.taken_at[chat.name, name] >= since:
            return  # somebody took it away meanwhile
        self.wanted.add((chat.name, name))
        self.wanted_data.add((chat.name, name))
        volume = self.engine.volumes.get(naming.volume_name(PlaceId(self.place(chat, name))))
        if volume is not None:
            volume.files.add(PRECIOUS, Entry(content=chat.marker.encode()))

    @contextmanager
    def letting_go(self, chat: Chat, *names: WorkspaceName, with_data: bool = False) -> Generator[None]:
        """Somebody takes them away, or may; what is provisioned meanwhile may be taken, too."""
        keys = [(chat.name, name) for name in names]
        self.wanted.difference_update(keys)
        if with_data:
            self.wanted_data.difference_update(keys)
        self.taking.update(keys)
        try:
            yield
        finally:
            self.taking.subtract(keys)
            self.taken_at.update(dict.fromkeys(keys, anyio.current_time()))

    def owner_of(self, container: str) -> tuple[Chat, WorkspaceName] | None:
        """Whose a container is, or was to be."""
        found = self.engine.containers.get(ContainerId(container))
        for chat in self.chats:
            for name in (MAIN, OTHER):
                if found is not None and found.spec.name.startswith(self.place(chat, name)):
                    return chat, name
        return None

    async def add_strangers(self, like: str) -> dict[str, object]:
        """Objects of others, with the very labels of ours (of the container `like`); returns what they are like."""
        labels = dict(self.engine.containers[ContainerId(like)].spec.labels)
        await self.engine.create(ContainerSpec(name="look-alike", image="img:1", labels=labels))
        moment = self.now().isoformat()
        for kind in ("volume", "configs"):
            said = {**labels, naming.KIND: kind}
            self.engine.add_volume(
                Volume(name=f"look-alike-{kind}", driver="local", labels=said, options={}, created_at=moment)
            )
        network = {**labels, naming.KIND: "network"}
        await self.engine.create_network("look-alike", network, is_internal=False)
        return self.strangers()

    def strangers(self) -> dict[str, object]:
        """What is not ours, as it is now."""
        things: dict[str, object] = {
            each.spec.name: (each.id, each.spec, each.state) for each in self.engine.containers.values()
        }
        things |= {f"volume {name}": each.volume for name, each in self.engine.volumes.items()}
        things |= {f"network {name}": each for name, each in self.engine.networks.items()}
        return {name: thing for name, thing in things.items() if "look-alike" in name}


class _Bugs(logging.Handler):
    """What the log calls an error is a bug of ours."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self._world.faulty.append(f"{record.getMessage()}: {cause!r}")


@contextmanager
def _listened(world: World) -> Generator[None]:
    logger = logging.getLogger("ws_mcp")
    handler, propagates, level = _Bugs(world), logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
        logger.setLevel(level)


@asynccontextmanager
async def open_world(directory: Path, chance: random.Random) -> AsyncGenerator[World]:
    """The world; leaving the block ends its servers and processes."""
    async with anyio.create_task_group() as tasks:
        SERVER.set(None)
        world = World(directory, chance, tasks)
        with _listened(world):
            yield world
        for server in world.servers.values():
            server.stop()
        with anyio.move_on_after(120):
            for server in world.servers.values():
                await server.over.wait()
        tasks.cancel_scope.cancel()
