"""What happens meanwhile: servers die, the engine goes away, somebody else stops and removes containers."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
from simulation.engine import Events
from simulation.stores import database_of
from simulation.world import MAIN, Chat, World

from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import ContainerId

OLD_S = 40.0  # longer than a start takes, in place of the day for which an execd remembers
JUMPS = (timedelta(days=-3652), timedelta(hours=-1), timedelta(), timedelta(minutes=7), timedelta(days=3652))


@dataclass(slots=True)
class Mishaps:
    """Happen one after the other until they are cancelled. The container of `keeper` is left alone by people."""

    world: World
    chance: random.Random
    keeper: Chat
    has_stopped_all: bool = False  # the engine came back without its containers
    happened: list[str] = field(default_factory=list[str])

    async def go_on(self) -> None:
        acts = (
            *(self.crash,) * 5,
            *(self.cut,) * 3,
            *(self.change_events,) * 3,
            *(self.end_container, self.remove_container, self.pause, self.jump, self.forget, self.engine_away) * 2,
            *(self.restart_server, self.restart_engine, self.read_only_state),
        )
        while True:
            await anyio.sleep(self.chance.expovariate(1 / 4.0))
            act = self.chance.choice(acts)
            self.world.say(f"** {act.__name__}")
            await act()

    async def crash(self) -> None:
        """A server dies, wherever it is, and another one takes its place."""
        name = self.chance.choice(list(self.world.servers))
        self.world.servers[name].kill()
        await anyio.sleep(self.chance.choice((0.0, 0.5, 5.0)))
        await self.world.start_server(name)

    async def restart_server(self) -> None:
        name = self.chance.choice(list(self.world.servers))
        self.world.servers[name].stop()
        await self.world.start_server(name)

    async def cut(self) -> None:
        found = self._any(lambda _: True)
        if found:
            self.world.execds.cut(found)

    async def end_container(self) -> None:
        found = self._any(lambda state: state is ContainerState.RUNNING)
        if found:
            await self.world.engine.die(found, 137)

    async def remove_container(self) -> None:
        found = self._any(lambda _: True)
        if found:
            owner = self.world.owner_of(found)
            with suppress(EngineError), self.world.letting_go(owner[0], owner[1]) if owner else nullcontext():
                await self.world.engine.remove(found)

    async def forget(self) -> None:
        """An execd forgets what ended a day ago; by then whoever started it with a key was told."""
        core = next((server.core for server in self.world.servers.values() if server.core is not None), None)
        if core is None:
            return
        rows = await core.state.run(
            lambda db: db.execute("SELECT process FROM starts WHERE NOT is_confirmed").fetchall()
        )
        unsure = {str(row[0]) for row in rows}
        for ran in self.world.execds.ran.values():
            execd = self.world.execds.of(ran.container)
            is_old = anyio.current_time() - ran.process.ended_s > OLD_S
            if execd is not None and is_old and ran.process.id not in unsure:
                execd.now.processes.pop(ran.process.id, None)

    async def pause(self) -> None:
        found = self._any(lambda state: state is ContainerState.RUNNING)
        if found:
            with suppress(EngineError):
                await self.world.engine.pause(found)
                await anyio.sleep(self.chance.choice((1.0, 8.0)))
                await self.world.engine.unpause(found)

    async def change_events(self) -> None:
        self.world.engine.events = self.chance.choice(list(Events))

    async def jump(self) -> None:
        self.world.jump = self.chance.choice(JUMPS)

    async def engine_away(self) -> None:
        """It restarts with live-restore: containers live on."""
        await self.world.engine.go_down()
        if self.chance.random() < 0.5:
            await self.end_container()  # nobody hears of it
        await anyio.sleep(self.chance.choice((0.3, 4.0, 20.0)))
        self.world.engine.come_back()

    async def restart_engine(self) -> None:
        """It restarts without: containers end."""
        await self.world.engine.go_down()
        self.has_stopped_all = True
        for container in list(self.world.engine.containers.values()):
            if container.is_alive:
                await self.world.engine.die(container.id, 137)
        await anyio.sleep(2.0)
        self.world.engine.come_back()

    async def read_only_state(self) -> None:
        """Its disk is full: SQLite refuses every write, and reads go on."""
        cores = [server.core for server in self.world.servers.values() if server.core is not None]
        for core in cores:
            database_of(core.state).execute("PRAGMA query_only = ON")
        with anyio.CancelScope(shield=True):
            await anyio.sleep(self.chance.choice((0.5, 5.0)))
        for core in cores:
            with suppress(Exception):  # closed meanwhile
                database_of(core.state).execute("PRAGMA query_only = OFF")

    def _any(self, is_meant: Callable[[ContainerState], bool]) -> ContainerId | None:
        kept = self.world.container(self.keeper, MAIN)
        found = [
            each.id
            for each in self.world.engine.containers.values()
            if is_meant(each.state) and each.id != kept and each.spec.name != "look-alike"
        ]
        return self.chance.choice(found) if found else None
