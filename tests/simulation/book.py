"""What the chats were told, held against what is: ids, offsets and exit codes never change; no "gone" too early."""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio
from simulation.world import Chat, World
from support.fake_process import FakeProcess

from ws_mcp.core.errors import NotFoundError, WsError
from ws_mcp.core.ids import ProcessId
from ws_mcp.core.processes.finder import LostProcessError
from ws_mcp.core.processes.model import Exit, Listing, OutputWindow, ProcessInfo, ProcessState, StartRequest
from ws_mcp.core.workspaces.model import WorkspaceListing

# When the call began whose answer is looked at, and its number.
ASKED_AT: ContextVar[float] = ContextVar("ASKED_AT", default=math.inf)
ASKED_AS: ContextVar[float] = ContextVar("ASKED_AS", default=math.inf)


@dataclass(slots=True)
class Told:
    """What a chat knows of one of its processes."""

    chat: Chat
    key: str
    since: int  # the number of the newest call when it was first told
    exit: Exit | None = None
    end: int = 0  # the most output that it was told of
    at: float = -math.inf  # when; an answer to an earlier call may be older news


@dataclass(slots=True)
class Book:
    """Everything that was told, by process and by request key."""

    world: World
    told: dict[ProcessId, Told] = field(default_factory=dict[ProcessId, Told])
    keys: dict[tuple[str, str], ProcessId] = field(default_factory=dict[tuple[str, str], ProcessId])
    written: list[tuple[ProcessId, bytes]] = field(default_factory=list[tuple[ProcessId, bytes]])
    signalled: set[str] = field(default_factory=set[str])  # by their own chat

    def of(self, chat: Chat) -> list[ProcessId]:
        return [process for process, told in self.told.items() if told.chat is chat]

    def started(self, chat: Chat, info: ProcessInfo, request: StartRequest) -> None:
        """A start was answered."""
        key = request.request_key
        self.world.check(
            info.command == request.command,
            f"{info.process} is {info.command!r}, and asked for was {request.command!r}",
        )
        if key:
            before = self.keys.setdefault((chat.name, key), info.process)
            self.world.check(before == info.process, f"key {key} became {before}, and later {info.process}")
        self.see(chat, info)

    def see(self, chat: Chat, info: ProcessInfo) -> None:
        """A process was shown."""
        check = self.world.check
        ran = self.world.execds.ran.get(info.process)
        if ran is None:
            self.world.violate(f"{info.process} was shown and never ran")
        truth = ran.process
        check(truth.chat == chat.scope.chat, f"{chat.name} was shown {info.process} of another chat")
        check(info.place == ran.place, f"{info.process} moved")
        told = self.told.setdefault(info.process, Told(chat, ran.key, self.world.calls))
        if info.state is ProcessState.LOST:
            check(not self.world.execds.is_alive(info.process), f"{info.process} is called lost and runs")
            return
        if info.state is ProcessState.ENDED:
            is_true = (info.exit or Exit()) == _exit_of(truth)
            check(is_true, f"{info.process} ended with {_exit_of(truth)}, and {info.exit} was told")
            check(told.exit in (None, info.exit), f"{info.process} ended with {told.exit}, and later with {info.exit}")
            if truth.signal is not None:
                check(info.process in self.signalled, f"{info.process} was killed by {truth.signal}; nobody asked")
            told.exit = info.exit
        is_news = ASKED_AT.get() > told.at
        is_back = is_news and told.exit is not None and info.state is ProcessState.RUNNING
        check(not is_back, f"{info.process} runs again after it ended with {told.exit}")
        check(info.out.end <= truth.out.end, f"{info.process} wrote less than was told")
        is_less = is_news and info.out.end < told.end and not info.is_receipt
        check(not is_less, f"{info.process} has less output than was told before")
        told.end, told.at = max(told.end, info.out.end), anyio.current_time()

    def see_window(self, chat: Chat, asked: int, window: OutputWindow) -> None:
        """A window of output was shown."""
        self.see(chat, window.info)
        if window.info.state is ProcessState.LOST or window.info.is_receipt:
            return
        truth = self.world.execds.ran[window.info.process].process.out.window(0, 1 << 30)[1]
        is_true = window.data == truth[window.start : window.end]
        self.world.check(is_true, f"{window.info.process} has other output at {window.start} than was told")
        self.world.check(window.start == asked, f"{window.info.process}: {window.missed} bytes are missing at {asked}")

    def see_list(self, chat: Chat, listing: Listing) -> None:
        """The process list was shown."""
        for info in listing.processes:
            self.see(chat, info)
        shown = {info.process for info in listing.processes}
        if listing.unavailable or listing.total > len(shown):
            return
        missing = [each for each in self.of(chat) if each not in shown and self._must_be_known(each)]
        self.world.check(not missing, f"the list of {chat.name} lacks {missing}, which run")

    def see_workspaces(self, chat: Chat, listing: WorkspaceListing) -> None:
        """The list of workspaces was shown."""
        for workspace in listing.workspaces:
            is_own = workspace.place == self.world.place(chat, workspace.name)
            self.world.check(is_own, f"{chat.name} was shown {workspace.place}")

    def refused(self, chat: Chat, process: ProcessId, error: WsError) -> None:
        """A call about a process of this chat failed."""
        if isinstance(error, NotFoundError):
            self.world.check(not self.world.execds.remembers(process), f"{process} is called unknown and is there")
        if isinstance(error, LostProcessError):
            self.world.check(not self.world.execds.is_alive(process), f"{process} is called lost and runs")

    def _must_be_known(self, process: ProcessId) -> bool:
        if self.told[process].since >= ASKED_AS.get():
            return False  # the list was asked for before anybody was told of it
        ran = self.world.execds.ran[process]
        return self.world.execds.is_alive(process) and not self.world.may_be_unseen(ran.container)

    def see_text(self, chat: Chat, text: str) -> None:
        """Whatever was answered: nothing of any other chat."""
        for other in self.world.chats:
            if other is not chat:
                for secret in (other.marker, other.handle, other.scope.chat):
                    self.world.check(secret not in text, f"{chat.name} was told of {other.name}: {text[:300]}")

    def check_effects(self) -> None:
        """Each start has one effect at most."""
        self.world.check(not self.world.execds.twice, f"began twice: {self.world.execds.twice}")
        for process, text in self.written:
            times = self.world.execds.ran[process].process.out.head.count(text)
            self.world.check(times <= 1, f"{process} was written {text!r} {times} times")
        seen: dict[tuple[str, str], str] = {}
        for process, ran in self.world.execds.ran.items():
            if ran.key:
                first = seen.setdefault((ran.process.chat, ran.key), process)
                self.world.check(first == process, f"key {ran.key} began {first} and {process}")


def _exit_of(process: FakeProcess) -> Exit:
    return Exit(code=process.code, signal=process.signal, reason=process.reason)
