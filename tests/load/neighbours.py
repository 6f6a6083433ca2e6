"""A chat at its limits, and how somebody else fares beside it: the same calls in turn, with it and without."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import cycle

from tests.load.serving import OverHttp, Posted, open_http, open_state
from tests.support.raw_client import Answer
from ws_mcp.core.policy.limits import Limits

LIMITS = Limits()
CHATS = 4  # of the neighbour, so that it stays below its own limits with enough calls to count
PACE_S = 1 / 36
WAIT = re.compile(r"wait (\d+(?:\.\d+)?) s")
LONGEST_S = 1.0
HELD_S = 1.0


class Pressure(Enum):
    """What a chat does that wants more than it may have."""

    HELD = auto()  # all its calls wait, and ten times a second it asks for one more, which is refused
    HEEDING = auto()  # all its calls are made again as soon as they are answered; when refused, it waits as it is told
    HAMMERING = auto()  # the same, but it never waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A chat with a process that runs."""

    chat: str
    process: str


@dataclass(slots=True, kw_only=True)
class Fared:
    """Seconds of the neighbour's calls, with the other one quiet and at its limits; `refused` of how many were its."""

    quiet: list[float] = field(default_factory=list[float])
    beside: list[float] = field(default_factory=list[float])
    asked: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list[str])


def fare(rounds: int, seconds: float, pressure: Pressure) -> Fared:
    """So many rounds, with so many seconds for each side."""
    fared = Fared()
    with open_state() as state, open_http(state, "--engine", "none") as server, _at_home(server) as homes:
        caller = server.caller("bob")
        processes = {
            chat: _process(_ok(caller, "start_process", command="echo hi", chat=chat)) for chat in homes["bob"]
        }
        home = _filled(server.caller("alice"), homes["alice"][0], fared)
        for _ in range(rounds):
            fared.quiet += _paced(server, processes, seconds, fared.wrong)
            with _pressed(server, home, fared, pressure):
                fared.beside += _paced(server, processes, seconds, fared.wrong)
    return fared


def _filled(caller: Posted, chat: str, fared: Fared) -> Home:
    """A chat with as many processes as it may have."""
    process = ""
    for _ in range(LIMITS.processes):
        process = _process(_ok(caller, "start_process", command="exec sleep 600", chat=chat, wait_s=0))
        time.sleep(1 / LIMITS.calls_per_s)
    refusal = caller.call("start_process", command="exec sleep 600", chat=chat, wait_s=0)
    if not refusal.is_error:
        fared.wrong.append(f"one process too many was started: {refusal.text}")
    return Home(chat=chat, process=process)


def _paced(server: OverHttp, processes: dict[str, str], seconds: float, wrong: list[str]) -> list[float]:
    """Reads and lists of the neighbour, at a pace that its own limits allow."""
    caller, took = server.caller("bob"), list[float]()
    until = time.monotonic() + seconds
    for number, chat in enumerate(cycle(processes)):
        if time.monotonic() > until:
            return took
        if number // CHATS % 2:
            answer = caller.call("list_processes", chat=chat)
        else:
            answer = caller.call("read_output", process_id=processes[chat], chat=chat)
        took.append(answer.seconds)
        if answer.is_error:
            wrong.append(answer.text)
        time.sleep(max(0.0, PACE_S - answer.seconds))
    raise AssertionError("a cycle has no end")


@contextmanager
def _pressed(server: OverHttp, home: Home, fared: Fared, pressure: Pressure) -> Generator[None]:
    """As many callers as a chat may have calls at once, and in `HELD` one more."""
    presser = Presser(server=server, home=home, fared=fared)
    each = {Pressure.HELD: presser.hold, Pressure.HEEDING: presser.heed, Pressure.HAMMERING: presser.hammer}
    callers = [threading.Thread(target=each[pressure]) for _ in range(LIMITS.calls_at_once)]
    callers += [threading.Thread(target=presser.knock)] if pressure is Pressure.HELD else []
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        presser.is_over.set()
        for caller in callers:
            caller.join()


@dataclass(slots=True, kw_only=True)
class Presser:
    """What the callers of a chat at its limits do, each in a thread, until it is over."""

    server: OverHttp
    home: Home
    fared: Fared
    is_over: threading.Event = field(default_factory=threading.Event)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def hammer(self) -> None:
        """Call again at once, whatever the answer."""
        caller = self.server.caller("alice")
        while not self.is_over.is_set():
            self._call(caller)

    def heed(self) -> None:
        """Call again at once, but after a refusal when it says."""
        caller = self.server.caller("alice")
        while not self.is_over.is_set():
            answer = self._call(caller)
            if answer.is_error and (told := WAIT.search(answer.text)):
                self.is_over.wait(min(float(told[1]), LONGEST_S))

    def hold(self) -> None:
        """Wait in a call, again and again."""
        caller = self.server.caller("alice")
        while not self.is_over.is_set():
            if self._call(caller, wait_for="exit", wait_s=HELD_S).is_error:
                self.is_over.wait(1 / LIMITS.calls_per_s)

    def knock(self) -> None:
        """Ask as often as it may, while all that it may have at once is taken."""
        caller = self.server.caller("alice")
        while not self.is_over.wait(1 / LIMITS.calls_per_s):
            self._call(caller)

    def _call(self, caller: Posted, **arguments: object) -> Answer:
        answer = caller.call("read_output", process_id=self.home.process, chat=self.home.chat, **arguments)
        with self._counting:
            self.fared.asked += 1
            self.fared.refused += answer.is_error
        return answer


@contextmanager
def _at_home(server: OverHttp) -> Generator[dict[str, list[str]]]:
    """The chats of both, each with a workspace of its own."""
    callers = {person: server.caller(person) for person in server.tokens}
    homes: dict[str, list[str]] = {person: [] for person in callers}
    try:
        for person, count in (("alice", 1), ("bob", CHATS)):
            for _ in range(count):
                made = _ok(callers[person], "provision_workspace", kind="local", chat="new")
                homes[person].append(str(made.structured["chat"]))
        yield homes
    finally:
        for person, chats in homes.items():
            for chat in chats:
                _patiently(callers[person], chat)


def _patiently(caller: Posted, chat: str) -> None:
    while (answer := caller.call("remove_workspace", name="main", keep_data=False, chat=chat)).is_error:
        if not (told := WAIT.search(answer.text)):
            raise AssertionError(answer.text)
        time.sleep(float(told[1]))


def _ok(caller: Posted, tool: str, **arguments: object) -> Answer:
    return caller.call(tool, **arguments).sound(tool)


def _process(answer: Answer) -> str:
    return str(answer.structured["process_id"])
