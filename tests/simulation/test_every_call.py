"""Every operation with a fault at its Nth engine call, execd frame and transaction, for N = 1 until none is left.

Afterwards another server settles, and everything holds. `core/workspaces/test_crashes.py` does the same with the calls
of a provision and a removal alone; here are all operations, of a whole server, at all three doors.
Source: SQLite's way of testing.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from simulation.acts import OTHER_SPEC, SPEC, Player
from simulation.book import Book
from simulation.faults import FAULTS, Calm, Door, Fault, Nth
from simulation.run import DIRECTORY
from simulation.seeding import run_seeded
from simulation.settling import settle
from simulation.world import MAIN, Chat, World, open_world

from ws_mcp.core.closing import Closing
from ws_mcp.core.processes.model import ReadRequest, StartRequest
from ws_mcp.core.runtime import Core
from ws_mcp.core.workspaces.model import Ask, Replace

MOST_CALLS = 150
KEYED = StartRequest(command="echo once; sleep 3", request_key="key")


class Stage:
    """A chat with a workspace and two processes; what an operation needs is there."""

    def __init__(self, world: World, player: Player, chat: Chat) -> None:
        self.world = world
        self.player = player
        self.chat = chat
        self.process = player.book.of(chat)[0] if player.book.told else None

    async def call(self, what: str, work: Callable[[Core], Awaitable[object]]) -> object:
        return await self.player.call(what, work)


Operation = Callable[[Stage], Awaitable[object]]


async def _provision(at: Stage) -> None:
    await at.call("provision", lambda core: core.provision(at.chat.scope, SPEC, Ask(request_key="make"), _quiet))


async def _recreate(at: Stage) -> None:
    ask = Ask(replace=Replace.ALWAYS)
    await at.call("provision", lambda core: core.provision(at.chat.scope, OTHER_SPEC, ask, _quiet))


async def _start(at: Stage) -> None:
    # Who gets no answer asks again with the same key.
    for _ in range(2):
        await at.call("start", lambda core: core.processes(at.chat.scope).start(MAIN, KEYED))


async def _read(at: Stage) -> None:
    assert at.process is not None
    process = at.process
    await at.call("read", lambda core: core.processes(at.chat.scope).read(process, ReadRequest()))


async def _list(at: Stage) -> None:
    await at.call("list", lambda core: core.processes(at.chat.scope).list(None, 100))
    await at.call("workspaces", lambda core: core.workspaces(at.chat.scope))


async def _write(at: Stage) -> None:
    await at.player.write()


async def _signal(at: Stage) -> None:
    assert at.process is not None
    process = at.process
    at.player.book.signalled.add(process)
    await at.call("signal", lambda core: core.processes(at.chat.scope).signal(process, "TERM", 1.0))


async def _stop(at: Stage) -> None:
    await at.call("stop", lambda core: core.stop(at.chat.scope, MAIN, restarts=True))


async def _remove(at: Stage) -> None:
    with at.world.letting_go(at.chat, MAIN, with_data=True):
        await at.call("remove", lambda core: core.remove(at.chat.scope, MAIN, keep_volume=False))


async def _close(at: Stage) -> None:
    at.player.book.signalled |= set(at.player.book.of(at.chat))
    with at.world.letting_go(at.chat, MAIN, with_data=True):
        await at.call("close", lambda core: core.close(at.chat.scope, Closing.DELETE))


OPERATIONS: dict[str, tuple[bool, Operation]] = {
    "provision": (False, _provision),
    "recreate": (True, _recreate),
    "start": (True, _start),
    "read": (True, _read),
    "list": (True, _list),
    "write": (True, _write),
    "signal": (True, _signal),
    "stop": (True, _stop),
    "remove": (True, _remove),
    "close": (True, _close),
}
# What is lost on the way back leaves most behind; the long form (`make soak`) has the other faults, too.
WORST = {Door.ENGINE: Fault.CRASH_AFTER, Door.EXECD: Fault.LOSE, Door.STATE: Fault.CRASH_AFTER}
CASES = [
    (name, door, fault)
    for name in OPERATIONS
    for door in Door
    for fault in FAULTS[door]
    if fault is WORST[door] or os.environ.get("WS_MCP_SOAK")
]
# A server that died has closed nothing; with a real one the kernel does that.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning"
)


@pytest.mark.parametrize(("name", "door", "fault"), CASES)
def test_a_fault_at_any_call_of_any_operation_leaves_everything_whole(name: str, door: Door, fault: Fault) -> None:
    for number in range(1, MOST_CALLS):
        if not run_with(name, Nth(door, number, fault)):
            return
    pytest.fail("the operation never ended")


def run_with(name: str, nth: Nth) -> bool:
    """Do one operation with one fault, and everything after it; whether the fault was met."""
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
        run_seeded(0, partial(_story, Path(directory), name, nth))
    return bool(nth.at)


async def _story(directory: Path, name: str, nth: Nth, chance: random.Random) -> None:
    has_one, operation = OPERATIONS[name]
    async with open_world(directory, chance) as world:
        await world.start_server("s1")
        world.remember_instance()
        chat = await world.make_chat("s1", "alice", "chat")
        book = Book(world)
        player = Player(world, book, chat, random.Random(0), is_keeper=True)
        if has_one:
            await player.provision()
            for command in ("cat", f"echo {chat.marker}; sleep 5000"):
                request = StartRequest(command=command, keeps_stdin=True)
                started = await world.core("s1").processes(chat.scope).start(MAIN, request)
                book.started(chat, started.info, request)
        world.injector = nth
        await operation(Stage(world, player, chat))
        # What a server does by itself after the call is of no interest here.
        world.injector = Calm()
        await anyio.lowlevel.checkpoint()
        if nth.at:
            await settle(world, book)
            book.check_effects()


async def _quiet(_phase: str, _fraction: float) -> None: ...
