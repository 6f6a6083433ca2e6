"""A crowd of processes in one server, and what comes over it: lists, a storm of signals, and the end of all at once."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from tests.load.serving import open_state, open_stdio
from tests.load.vitals import Server, descriptors_of, execds_of, threads_of
from tests.support.memory import memory_of
from tests.support.raw_client import Answer, Call, Json, RawClient, timed

CALLERS = 50
OF_A_CHAT = 100  # execd keeps as many that ended
ROOM = ("--running", "10000", "--ended", "1000", "--workspaces", "1000")
LISTED = 200
# It waits for a line of its own, which it takes whole: one byte.
WAITS = "trap '' USR1; trap 'exit {code}' TERM; read line < gate; exit {code}"
KEEPER = "mkfifo gate; exec 3<>gate; echo kept; cat >&3"
ENDED = re.compile(r"^\[\S+ exited (\d+) after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A process that ends with `code` when it is let go, or by TERM."""

    process: str
    chat: str
    code: int


@dataclass(slots=True, kw_only=True)
class Crowd:
    """All that wait, by the chats that they belong to; `keepers` let those of a chat go."""

    client: RawClient
    server: Server
    keepers: dict[str, str] = field(default_factory=dict[str, str])
    waiting: list[Waiting] = field(default_factory=list[Waiting])
    _numbers: count[int] = field(default_factory=count)

    def grow(self, chats: int) -> float:
        """As many chats more, with `OF_A_CHAT` processes each; the seconds until all of these run."""
        new = [self._chat() for _ in range(chats)]
        wanted = [(chat, next(self._numbers) % 250 + 1) for _ in range(OF_A_CHAT) for chat in new]
        calls = [
            Call(tool="start_process", arguments={"command": WAITS.format(code=code), "chat": chat, "wait_s": 0})
            for chat, code in wanted
        ]
        answers: list[Answer] = []
        took = timed(lambda: answers.extend(self.client.call_all(calls, CALLERS)))
        self.waiting += [
            Waiting(process=str(answer.structured["process_id"]), chat=chat, code=code)
            for answer, (chat, code) in zip(answers, wanted, strict=True)
        ]
        return took

    def _chat(self) -> str:
        made = self.client.ok("provision_workspace", kind="local", chat="new").structured
        chat = str(made["chat"])
        keeper = self.client.ok("start_process", command=KEEPER, chat=chat, keep_stdin=True, wait_s=0).structured
        self.keepers[chat] = str(keeper["process_id"])
        self.client.ok("read_output", process_id=self.keepers[chat], wait_for="pattern", pattern="kept", chat=chat)
        return chat

    @property
    def cost(self) -> Cost:
        """Of the server and all execds, now."""
        execds = execds_of(self.server.state)
        return Cost(
            server_bytes=memory_of(self.server.pid),
            execd_bytes=sum(map(memory_of, execds)),
            descriptors=descriptors_of(self.server.pid) + sum(map(descriptors_of, execds)),
            server_threads=threads_of(self.server.pid),
            execd_threads=sum(map(threads_of, execds)),
        )

    def lists(self, times: int) -> list[float]:
        """Seconds of lists, the longest that there are, of one chat after the other."""
        chats = list(self.keepers)
        return [
            self.client.ok("list_processes", limit=LISTED, chat=chats[number % len(chats)]).seconds
            for number in range(times)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """See `Crowd.cost`."""

    server_bytes: int
    execd_bytes: int
    descriptors: int
    server_threads: int
    execd_threads: int


@contextmanager
def open_crowd() -> Generator[Crowd]:
    """Nobody yet."""
    with open_state() as state, open_stdio(state, "--engine", "none", *ROOM) as (client, server):
        crowd = Crowd(client=client, server=server)
        yield crowd
        for chat in crowd.keepers:
            client.call("remove_workspace", name="main", keep_data=False, chat=chat)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What became of many signals. `seconds`: from the first call to the last answer."""

    calls: int
    seconds: float
    slowest_s: float
    wrong: Sequence[str]


def storm(crowd: Crowd, calls: int, ending: int, seed: int, at_once: int = 100) -> Storm:
    """Signals for processes of the crowd, in a random order; `ending` of them TERM, which its process answers.

    Who got a TERM belongs to the crowd no more.
    """
    chance = random.Random(seed)
    ends, crowd.waiting = crowd.waiting[:ending], crowd.waiting[ending:]
    targets = [(waiting, "TERM") for waiting in ends]
    targets += [(chance.choice(crowd.waiting), "USR1") for _ in range(calls - ending)]
    chance.shuffle(targets)
    asked = [
        Call(tool="signal_process", arguments={"process_id": one.process, "chat": one.chat, "signal": signal})
        for one, signal in targets
    ]
    begin = time.perf_counter()
    answers = crowd.client.call_all(asked, at_once)
    took = time.perf_counter() - begin
    wrong = [
        f"{one.process} {signal}: {answer.structured}"
        for (one, signal), answer in zip(targets, answers, strict=True)
        if not _is_right(one, signal, answer)
    ]
    return Storm(
        calls=calls, seconds=took, slowest_s=max((answer.seconds for answer in answers), default=0), wrong=wrong
    )


def _is_right(one: Waiting, signal: str, answer: Answer) -> bool:
    said = answer.structured
    if signal == "TERM":
        return (said["state"], said.get("exit_code")) == ("ended", one.code)
    return (said["state"], said["signalled"]) == ("running", 1)


def exodus(crowd: Crowd) -> Storm:
    """All end at once, while each is waited for by a call of its own; `seconds` also has the time to ask for all.

    Whose wait was over before its process's end was known is asked for again: an exit code that is late is not lost.
    """
    asked = [_awaited(one) for one in crowd.waiting]
    asked += [
        Call(tool="write_input", arguments={"process_id": keeper, "chat": chat, "text": "\n" * OF_A_CHAT})
        for chat, keeper in crowd.keepers.items()
    ]
    begin = time.perf_counter()
    answers = crowd.client.call_all(asked, len(asked))
    said = {one: answer.text for one, answer in zip(crowd.waiting, answers, strict=False)}
    late = [one for one, text in said.items() if not ENDED.search(text)]
    said |= {
        one: answer.text
        for one, answer in zip(late, crowd.client.call_all([_awaited(one) for one in late], CALLERS), strict=True)
    }
    took = time.perf_counter() - begin
    wrong = [
        f"{one.process}: {text}, not {one.code}"
        for one, text in said.items()
        if not (found := ENDED.search(text)) or int(found[1]) != one.code
    ]
    gone, crowd.waiting = crowd.waiting, []
    return Storm(calls=len(gone), seconds=took, slowest_s=max(answer.seconds for answer in answers), wrong=wrong)


def _awaited(one: Waiting) -> Call:
    wanted: Json = {"process_id": one.process, "chat": one.chat, "wait_for": "exit", "wait_s": 45}
    return Call(tool="read_output", arguments=wanted)
