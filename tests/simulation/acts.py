"""What a chat does, by chance; each answer is held against the book, and each call ends in time."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import anyio
from simulation.book import ASKED_AS, ASKED_AT, Book
from simulation.world import MAIN, OTHER, Chat, World

from ws_mcp.core.closing import Closing
from ws_mcp.core.errors import NotFoundError, WsError
from ws_mcp.core.ids import ProcessId, WorkspaceName
from ws_mcp.core.processes.model import (
    Listing,
    ProcessState,
    ReadRequest,
    SignalResult,
    Started,
    StartRequest,
    Until,
    Wait,
)
from ws_mcp.core.runtime import Core
from ws_mcp.core.workspaces.model import (
    Ask,
    Content,
    Provisioned,
    Replace,
    WorkspaceKind,
    WorkspaceListing,
    WorkspaceSpec,
)

SPEC = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.CONTAINER, image="img:1", content=Content(files={"a.txt": "1"}))
OTHER_SPEC = replace(SPEC, content=Content(files={"a.txt": "2"}, secrets={"TOKEN": "s"}), network="shared")
LATE_S = 2.0
# The longest that a call may take: the hung calls of an engine (10 s each) and of an execd (15 s) that it may meet in
# a row, beside what it was told to wait.
BOUNDS_S = {"provision": 45.0, "start": 90.0, "read": 90.0, "list": 60.0, "workspaces": 40.0}
SLOW_S = 240.0  # what changes a workspace waits for who changes it already, on this server or another


@dataclass(slots=True)
class Player:
    """One chat at work. `is_keeper`: it never ends or changes anything."""

    world: World
    book: Book
    chat: Chat
    chance: random.Random
    is_keeper: bool = False
    is_rival: bool = False  # makes workspaces anew again and again, as others of its chat do at the same time
    pauses_s: tuple[float, ...] = (0.0, 0.05, 0.5, 3.0)
    requests: dict[str, StartRequest] = field(default_factory=dict[str, StartRequest])
    homes: dict[str, WorkspaceName] = field(default_factory=dict[str, WorkspaceName])

    async def play(self, steps: int) -> None:
        """Do so many things, one after the other."""
        for _ in range(steps):
            await anyio.sleep(self.chance.choice(self.pauses_s))
            await self.act()
            self.book.check_effects()

    async def act(self) -> None:
        """One thing."""
        if self.is_keeper:
            acts = (self.provision, self.start, self.start, self.read, self.read, self.list, self.write)
        elif self.is_rival:
            acts = (*(self.provision,) * 6, *(self.start, self.read) * 2, self.list, self.stop, self.remove)
        else:
            acts = (
                *(self.provision,) * 3,
                *(self.start,) * 6,
                *(self.read,) * 5,
                *(self.list, self.signal, self.signal, self.workspaces, self.peek) * 2,
                *(self.write, self.write, self.stop, self.remove, self.close),
            )
        await self.chance.choice(acts)()

    async def call(self, what: str, work: Callable[[Core], Awaitable[object]], wait_s: float = 0.0) -> object:
        """An answer of whichever server is chosen; None if there was none."""
        up = [name for name, server in self.world.servers.items() if server.core is not None]
        chosen = self.chance.choice(up or list(self.world.servers))
        patience_s = self.chance.choice((0.0, 0.02, 1.0, 6.0)) if self.chance.random() < 0.06 else math.inf
        return await self.ask(chosen, what, work, wait_s, patience_s)

    async def ask(
        self,
        chosen: str,
        what: str,
        work: Callable[[Core], Awaitable[object]],
        wait_s: float = 0.0,
        patience_s: float = math.inf,
    ) -> object:
        """An answer of this server; None if there was none."""
        server = self.world.servers[chosen]
        number = self.world.next_call()
        self.world.say(f"#{number} {self.chat.name} -> {server.name} {what}")
        began = anyio.current_time()
        ASKED_AT.set(began)
        ASKED_AS.set(number)
        bound = BOUNDS_S.get(what.partition(" ")[0], SLOW_S) + wait_s + LATE_S
        answer = None
        # Nobody need wait for the end of what is late already.
        with anyio.move_on_after(min(patience_s, bound + LATE_S)) as scope:
            answer = await server.call(number, work)
        if scope.cancelled_caught:
            self.world.say(f"#{number} stops waiting")
        took = anyio.current_time() - began
        self.world.say(f"#{number} <- {_short(answer)}")
        self.world.check(took <= bound, f"{what} took {took:.1f} s, more than {bound:g} s")
        if not isinstance(answer, NotFoundError) or "peek" not in what:
            self.book.see_text(self.chat, f"{answer} {answer!r}")
        return answer

    async def provision(self) -> None:
        name = MAIN if self.is_keeper or self.is_rival else self.chance.choice((MAIN, MAIN, OTHER))
        spec = SPEC if self.is_keeper else self.chance.choice((SPEC, SPEC, OTHER_SPEC))
        how = Replace.ALWAYS if self.chance.random() < 0.3 and not self.is_keeper else Replace.IF_IDLE
        await self.provision_as("", replace(spec, name=name), Ask(replace=how))

    async def provision_as(self, server: str, wish: WorkspaceSpec, ask: Ask) -> object:
        """By this server; "": whichever."""
        name, began = wish.name, anyio.current_time()
        answer = await self._said(
            server, f"provision {name}", lambda core: core.provision(self.chat.scope, wish, ask, _quiet)
        )
        if isinstance(answer, Provisioned) and answer.workspace is not None:
            self.world.keep(self.chat, name, began)
            is_own = answer.workspace.place == self.world.place(self.chat, name)
            self.world.check(is_own, f"{self.chat.name} got {answer.workspace.place}")
        return answer

    async def _said(
        self, server: str, what: str, work: Callable[[Core], Awaitable[object]], wait_s: float = 0.0
    ) -> object:
        return await (self.ask(server, what, work, wait_s) if server else self.call(what, work, wait_s))

    async def start(self) -> None:
        key = ""
        if self.requests and self.chance.random() < 0.4:
            key = self.chance.choice(list(self.requests))
            request, name = self.requests[key], self.homes[key]
        else:
            name = MAIN if self.is_keeper or self.chance.random() < 0.8 else OTHER
            request = self._request()
            if self.chance.random() < 0.6:
                key = f"k{len(self.requests)}"
                request = replace(request, request_key=key)
                self.requests[key], self.homes[key] = request, name
        await self.start_as("", name, request)

    async def start_as(self, server: str, name: WorkspaceName, request: StartRequest) -> object:
        """By this server; "": whichever."""
        answer = await self._said(
            server,
            f"start {name} {request.request_key} {request.command!r}",
            lambda core: core.processes(self.chat.scope).start(name, request),
            wait_s=5.0,
        )
        if isinstance(answer, Started):
            self.book.started(self.chat, answer.info, request)
            if answer.window is not None:
                self.book.see_window(self.chat, 0, answer.window)
        return answer

    def _request(self) -> StartRequest:
        marker = self.chat.marker
        command = self.chance.choice(
            (
                f"echo {marker}",
                f"echo {marker}; exit 3",
                f"echo {marker}; sleep 4; echo {marker} again",
                f"echo {marker}; sleep 5000",
                f"seq 1 200; sleep 2; echo {marker}",
                "cat",
            )
        )
        first = ReadRequest(wait=Wait(until=Until.EXIT, wait_s=2.0)) if self.chance.random() < 0.3 else None
        return StartRequest(command=command, keeps_stdin=command == "cat", first=first)

    def _known(self) -> ProcessId | None:
        known = self.book.of(self.chat)
        return self.chance.choice(known[-8:]) if known else None

    async def read(self) -> None:
        process = self._known()
        if process is None:
            return
        offset = self.chance.randint(0, self.book.told[process].end)
        wait_s = self.chance.choice((0.0, 0.0, 3.0))
        wait = Wait(until=self.chance.choice((Until.EXIT, Until.OUTPUT)), wait_s=wait_s) if wait_s else None
        request = ReadRequest(offset=offset, wait=wait)
        answer = await self.call(
            f"read {process} at {offset}",
            lambda core: core.processes(self.chat.scope).read(process, request),
            wait_s=2 * wait_s,
        )
        if isinstance(answer, WsError):
            self.book.refused(self.chat, process, answer)
        elif answer is not None:
            self.book.see_window(self.chat, offset, answer)  # pyright: ignore[reportArgumentType]

    async def list(self) -> None:
        await self.list_as("", self.chance.choice((None, None, ProcessState.RUNNING)))

    async def list_as(self, server: str, state: ProcessState | None = None) -> object:
        """By this server; "": whichever."""
        answer = await self._said(server, "list", lambda core: core.processes(self.chat.scope).list(state, 1000))
        if isinstance(answer, Listing):
            self.book.see_list(self.chat, answer)
        return answer

    async def write(self) -> None:
        ran = self.world.execds.ran
        readers = [each for each in self.book.of(self.chat) if ran[each].process.is_stdin_open]
        if not readers:
            return
        process = self.chance.choice(readers)
        text = f"{self.chat.marker} in {len(self.book.written)}\n".encode()
        self.book.written.append((process, text))
        answer = await self.call(
            f"write {process}", lambda core: core.processes(self.chat.scope).write(process, text, close=False)
        )
        if isinstance(answer, WsError):
            self.book.refused(self.chat, process, answer)

    async def signal(self) -> None:
        process = self._known()
        if process is None:
            return
        name, grace_s = self.chance.choice((("TERM", 0.0), ("TERM", 2.0), ("KILL", 0.0)))
        self.book.signalled.add(process)
        answer = await self.call(
            f"signal {process} {name}", lambda core: core.processes(self.chat.scope).signal(process, name, grace_s)
        )
        if isinstance(answer, SignalResult):
            self.book.see(self.chat, answer.info)
            is_gone = not answer.left and (name == "KILL" or grace_s > 0)
            alive = self.world.execds.is_alive(process)
            self.world.check(not is_gone or not alive, f"{process} was said to be gone and runs")
        elif isinstance(answer, WsError):
            self.book.refused(self.chat, process, answer)

    async def workspaces(self) -> None:
        answer = await self.call("workspaces", lambda core: core.workspaces(self.chat.scope))
        if isinstance(answer, WorkspaceListing):
            self.book.see_workspaces(self.chat, answer)

    async def peek(self) -> None:
        """Ask for what another chat has."""
        others = [each for each, told in self.book.told.items() if told.chat is not self.chat]
        if not others:
            return
        process = self.chance.choice(others)
        answer = await self.call(
            f"read-peek {process}", lambda core: core.processes(self.chat.scope).read(process, ReadRequest())
        )
        is_refused = answer is None or isinstance(answer, WsError)
        self.world.check(is_refused, f"{self.chat.name} read {process} of another chat")
        stranger = next(each for each in self.world.chats if each.scope.principal != self.chat.scope.principal)
        who = self.chat.scope.principal
        answer = await self.call("find-peek", lambda core: core.chat(who, stranger.handle))
        is_refused = answer is None or isinstance(answer, WsError)
        self.world.check(is_refused, f"{who} was let into {stranger.name}")

    async def stop(self) -> None:
        name = self.chance.choice((MAIN, OTHER))
        restarts = self.chance.random() < 0.5
        await self.call(f"stop {name}", lambda core: core.stop(self.chat.scope, name, restarts=restarts))

    async def remove(self) -> None:
        name, keeps = self.chance.choice((MAIN, OTHER)), self.chance.random() < 0.3
        with self.world.letting_go(self.chat, name, with_data=not keeps):
            await self.call(f"remove {name}", lambda core: core.remove(self.chat.scope, name, keep_volume=keeps))

    async def close(self) -> None:
        how = self.chance.choice((Closing.STOP, Closing.REMOVE))
        # It ends what runs elsewhere, too.
        self.book.signalled |= set(self.book.of(self.chat))
        names = (MAIN, OTHER) if how is Closing.REMOVE else ()
        with self.world.letting_go(self.chat, *names):
            await self.call(f"close {how}", lambda core: core.close(self.chat.scope, how))


def _short(answer: object) -> str:
    return f"{type(answer).__name__}: {answer}"[:400]


async def _quiet(_phase: str, _fraction: float) -> None: ...
