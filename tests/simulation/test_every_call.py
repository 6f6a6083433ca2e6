"""Every operation with a fault at its Nth engine call, execd frame and transaction, for N = 1 until none is left.

Afterwards another server settles, and everything holds. `core/workspaces/test_crashes.py` does the same with the calls
of a provision and a removal alone; here are all operations, of a whole server, at all three doors: those of all
tools but `recreate_devcontainer`, which `core/devcontainers/test_crashes.py` has.
Source: SQLite's way of testing.
"""

from __future__ import annotations

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
from support.soaked import IS_LONG, numbers

from ws_mcp.core.closing import Closing
from ws_mcp.core.errors import NotFoundError, WsError
from ws_mcp.core.job import holding
from ws_mcp.core.processes.model import ReadRequest, StartRequest
from ws_mcp.core.runtime import Core
from ws_mcp.core.tickets import Answer, TicketOwner, TicketState
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


async def _remove_but_data(at: Stage) -> None:
    with at.world.letting_go(at.chat, MAIN):
        await at.call("remove", lambda core: core.remove(at.chat.scope, MAIN, keep_volume=True))


async def _files(at: Stage) -> None:
    content = f"{at.chat.marker} in a file\n".encode()
    write = partial(_written, at.chat, content)
    await at.call("files", write)
    # Who gets no answer asks again: a file is written whole, or not at all.
    await at.call("files", write)
    await at.call("files", lambda core: core.files.list(at.chat.scope, MAIN, ".", 100))
    read = await at.call("files", lambda core: core.files.read(at.chat.scope, MAIN, "a.txt", 0, 1000))
    is_whole = isinstance(read, WsError | None) or content in f"{read}".encode() or at.chat.marker in f"{read}"
    at.world.check(is_whole, f"a file has other content than was written: {read}")


async def _written(chat: Chat, content: bytes, core: Core) -> object:
    return await core.files.write(chat.scope, MAIN, "a.txt", content, is_executable=False)


async def _files_of_a_stopped_one(at: Stage) -> None:
    await at.call("stop", lambda core: core.stop(at.chat.scope, MAIN, restarts=False))
    await _files(at)


async def _chat(at: Stage) -> None:
    principal = at.chat.scope.principal
    for _ in range(2):
        await at.call("chat", lambda core: core.default_chat(principal, "/a/project"))
    await at.call("chats", lambda core: core.chats(principal))
    answer = await at.call("chat", lambda core: core.chat(principal, at.chat.handle))
    at.world.check(not isinstance(answer, NotFoundError), f"{at.chat.name} is there, and was called unknown")


async def _task(at: Stage, *, is_given_up: bool) -> None:
    """As a client has it that declares tasks: a ticket for what goes on, asked for until that has ended."""
    at.world.engine.call_s = 0.5
    owner = TicketOwner(principal=at.chat.scope.principal, chat=at.chat.scope.chat)

    async def take(core: Core) -> object:
        with holding(0.1) as call:
            await core.provision(at.chat.scope, OTHER_SPEC, Ask(replace=Replace.ALWAYS), _quiet)
        if call.hold is None:
            return None
        ticket = await core.tickets.take(owner, call.hold, "provision_workspace", _answered)
        await anyio.sleep(3)  # by then the container before it is set aside, or nearly so
        if is_given_up:
            await core.tickets.give_up(owner, ticket.id)
        while True:
            seen = await core.tickets.look(owner, ticket.id)
            if seen is None or seen.state is not TicketState.WORKING:
                return seen
            await anyio.sleep(1)

    await at.call("task", take)


def _answered(_result: object, _failure: Exception | None) -> Answer:
    return Answer(state=TicketState.COMPLETED, text="done")


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
    "remove but data": (True, _remove_but_data),
    "files": (True, _files),
    "files of a stopped one": (True, _files_of_a_stopped_one),
    "chat": (True, _chat),
    "task": (True, partial(_task, is_given_up=False)),
    "task that is given up": (True, partial(_task, is_given_up=True)),
}
# What is lost on the way back leaves most behind; the long form (`make soak`) has the other faults, too.
WORST = {Door.ENGINE: Fault.CRASH_AFTER, Door.EXECD: Fault.LOSE, Door.STATE: Fault.CRASH_AFTER}
CASES = [
    (name, door, fault)
    for name in OPERATIONS
    for door in Door
    for fault in FAULTS[door]
    if fault is WORST[door] or IS_LONG
]
# Of these the short form has each sixth call, for most of them are those of others, too; of the rest each second one.
SAMPLED: tuple[str, ...] = ("remove but data", "files", "files of a stopped one", "task", "task that is given up")
STEPS: dict[str, int] = dict.fromkeys(SAMPLED, 6)
# A server that died has closed nothing; with a real one the kernel does that.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning"
)


@pytest.mark.parametrize(("name", "door", "fault"), CASES)
def test_a_fault_at_any_call_of_any_operation_leaves_everything_whole(name: str, door: Door, fault: Fault) -> None:
    for number in numbers(MOST_CALLS, every=STEPS.get(name, 2), turn=list(OPERATIONS).index(name)):
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
