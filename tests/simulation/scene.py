"""A scene: two or three who meet in a way that chance would bring about too seldom, from the same world and doors."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from simulation.acts import SPEC, Player
from simulation.book import Book
from simulation.faults import Calm, Door, Fault, Nth
from simulation.run import DIRECTORY
from simulation.seeding import run_seeded
from simulation.settling import settle
from simulation.world import MAIN, Chat, ViolationError, World, open_world

from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import ContainerId, WorkspaceName
from ws_mcp.core.processes.model import Listing, Started, StartRequest
from ws_mcp.core.runtime import Core
from ws_mcp.core.workspaces.model import Ask, Provisioned, Replace, WorkspaceSpec

ANEW = Ask(replace=Replace.ALWAYS)


@dataclass(slots=True)
class Scene:
    """A chat of alice's, and whom else a scene adds; what is answered is held against the book, as in a random run."""

    world: World
    book: Book
    chat: Chat
    players: dict[str, Player] = field(default_factory=dict[str, Player])

    def player(self, chat: Chat) -> Player:
        return self.players.setdefault(chat.name, Player(self.world, self.book, chat, random.Random(0)))

    async def another(self, principal: str, name: str) -> Chat:
        return await self.world.make_chat("s1", principal, name)

    async def ask(
        self, server: str, what: str, work: Callable[[Core], Awaitable[object]], chat: Chat | None = None
    ) -> object:
        """An answer, or an error of ours; a server that dies gives none."""
        return await self.player(chat or self.chat).ask(server, what, work)

    async def provision(
        self, server: str = "s1", spec: WorkspaceSpec = SPEC, ask: Ask | None = None, chat: Chat | None = None
    ) -> object:
        chat, asked = chat or self.chat, ask or Ask()
        return await self.player(chat).provision_as(server, spec, asked)

    async def made(
        self, server: str = "s1", spec: WorkspaceSpec = SPEC, ask: Ask | None = None, chat: Chat | None = None
    ) -> Provisioned:
        """Nothing goes wrong, so it is made."""
        answer = await self.provision(server, spec, ask, chat)
        if not isinstance(answer, Provisioned):
            self.world.violate(f"{spec.name} was not made, and nothing was wrong: {answer!r}")
        return answer

    async def start(
        self, server: str, request: StartRequest, name: WorkspaceName = MAIN, chat: Chat | None = None
    ) -> object:
        return await self.player(chat or self.chat).start_as(server, name, request)

    async def started(self, server: str, request: StartRequest) -> Started:
        answer = await self.start(server, request)
        if not isinstance(answer, Started):
            self.world.violate(f"{request.command!r} was not started, and nothing was wrong: {answer!r}")
        return answer

    async def listed(self, server: str) -> Listing:
        answer = await self.player(self.chat).list_as(server)
        if not isinstance(answer, Listing):
            self.world.violate(f"processes were not listed, and nothing was wrong: {answer!r}")
        self.check(not answer.unavailable, f"nothing was wrong, and these did not answer: {answer.unavailable}")
        return answer

    def check(self, is_kept: bool, text: str) -> None:
        self.world.check(is_kept, text)

    def refused(self, answer: object, kind: type[WsError], text: str) -> None:
        """That something was not done, for this reason."""
        self.check(isinstance(answer, kind), f"{text}: {answer!r}")

    def fault(self, door: Door, number: int, fault: Fault, *only: str) -> Nth:
        """The `number`th of these calls has it."""
        self.world.injector = nth = Nth(door, number, fault, only)
        return nth

    def calm(self) -> None:
        self.world.injector = Calm()

    def container(self, name: WorkspaceName = MAIN) -> ContainerId:
        return ContainerId(self.world.container(self.chat, name))

    def half_made(self) -> list[str]:
        return [each.spec.name for each in self.world.engine.containers.values() if each.spec.name.endswith(ENDINGS)]

    def forget_ended(self) -> None:
        """Each execd forgets what ended, as it does after a day."""
        for ran in self.world.execds.ran.values():
            execd = self.world.execds.of(ran.container)
            if execd is not None and ran.process.state == "ended":
                execd.now.processes.pop(ran.process.id, None)

    async def settle(self) -> None:
        """Let it come to rest, and check everything."""
        await settle(self.world, self.book)
        self.book.check_effects()


ENDINGS = ("-new", "-old", "-files")
Play = Callable[[Scene], Awaitable[None]]


def play(scene: Play, servers: Sequence[str] = ("s1", "s2")) -> str:
    """Which promise was broken; "" if none was."""
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
        try:
            run_seeded(0, partial(_played, Path(directory), scene, servers))
        except (ViolationError, BaseExceptionGroup) as error:
            return _violation(error)
    return ""


async def _played(directory: Path, scene: Play, servers: Sequence[str], chance: random.Random) -> None:
    async with open_world(directory, chance) as world:
        for name in servers:
            await world.start_server(name)
        world.remember_instance()
        book = Book(world)
        await scene(Scene(world, book, await world.make_chat("s1", "alice", "chat")))
        book.check_effects()
        world.check(not world.faulty, f"bugs in the log: {world.faulty}")


def _violation(error: BaseException) -> str:
    first = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if not isinstance(first, ViolationError):
        raise error  # the scene itself does not work
    return str(first)
