"""Fifty processes that write all at once: what is kept is right to the byte, what it costs, and how others fare."""

from __future__ import annotations

import re
import string
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests.load.serving import open_state, open_stdio
from tests.load.vitals import Course, Server, execds_of
from tests.support.memory import forget_peak, memory_of
from tests.support.raw_client import Answer, Call, Json, RawClient
from ws_mcp.core.processes.limits import ProcessLimits

HEAD, TAIL = ProcessLimits().head_bytes, ProcessLimits().tail_bytes
RINGS = HEAD + TAIL  # bytes that one output may hold
PERIOD = 997  # bytes of a line: a prime, so that no error by a power of two falls on the same text
BYTES = re.compile(r"bytes (\d+)-(\d+) of (\d+)")
DROPPED = re.compile(r"bytes (\d+)-(\d+) are no longer kept")
QUIET = 60  # calls before the floods, of each kind
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """A process that writes `size` bytes, the same line again and again, which no other one writes."""

    number: int
    size: int

    @property
    def line(self) -> str:
        """Without its line break."""
        letters = string.ascii_letters[self.number % 52] + string.digits + string.ascii_lowercase
        text = f"flood {self.number:04d} " + letters * (PERIOD // len(letters) + 1)
        return text[: PERIOD - 1]

    @property
    def command(self) -> str:
        """Waits for the gate, and writes."""
        return f"read line < gate; yes '{self.line}' | head -c {self.size}"

    def text(self, start: int, end: int) -> str:
        """What it writes at these offsets."""
        line = self.line + "\n"
        first = start % PERIOD
        return (line * ((end - start) // PERIOD + 2))[first : first + end - start]


class Sound(Protocol):
    """Whoever asks."""

    def ok(self, tool: str, **arguments: object) -> Answer:
        """Call a tool that must succeed."""
        ...


@dataclass(slots=True, kw_only=True)
class Flooded:
    """What a run of floods showed. `quiet` and `beside`: seconds of calls before and meanwhile. Sizes in bytes."""

    size: int = 0
    count: int = 0
    seconds: float = 0.0
    server_before: int = 0
    server_most: int = 0
    execd_before: int = 0
    execd_most: int = 0
    quiet: list[float] = field(default_factory=list[float])
    beside: list[float] = field(default_factory=list[float])
    wrong: list[str] = field(default_factory=list[str])
    written: Course = field(default_factory=Course)
    resident: Course = field(default_factory=Course)


def flood(count: int, size: int, bound_s: float) -> Flooded:
    """So many processes, each of which writes so many bytes.

    Raises:
        TimeoutError: they are not through by `bound_s`.
    """
    flags = ("--engine", "none", "--running", str(count + 10), "--ended", str(count + 10))
    with open_state() as state, open_stdio(state, *flags) as (client, server), _workspace(client) as keeper:
        return _flooded(client, server, keeper, [Flood(number=number, size=size) for number in range(count)], bound_s)


def _flooded(client: RawClient, server: Server, keeper: str, floods: Sequence[Flood], bound_s: float) -> Flooded:
    calls = [Call(tool="start_process", arguments={"command": one.command, "wait_s": 0}) for one in floods]
    processes = [str(answer.structured["process_id"]) for answer in client.call_all(calls, 8)]
    (execd,) = execds_of(server.state)
    found = Flooded(size=floods[0].size, count=len(floods))
    for _ in range(QUIET):
        found.quiet += _others(client, processes[0])
    found.server_before, found.execd_before = memory_of(server.pid), memory_of(execd)
    for pid in (server.pid, execd):
        forget_peak(pid)
    begin = time.monotonic()
    client.ok("write_input", process_id=keeper, text="\n" * len(floods))
    offset, is_over = 0, False
    while not is_over:
        found.beside += _others(client, processes[len(found.beside) % len(processes)])
        offset = _follow(client, processes[0], floods[0], offset, found.wrong)
        listed = _listed(client)
        passed = time.monotonic() - begin
        found.written.note(passed, sum(_written(one) for one in listed if one["process_id"] != keeper))
        found.resident.note(passed, memory_of(server.pid) + memory_of(execd))
        is_over = sum(one["state"] == "running" for one in listed) == 1
        if passed > bound_s:
            raise TimeoutError(f"not through after {bound_s:g} s: {found.written.points[-1]}")
    found.seconds = time.monotonic() - begin
    found.server_most, found.execd_most = memory_of(server.pid, "VmHWM"), memory_of(execd, "VmHWM")
    for process, one in zip(processes, floods, strict=True):
        found.wrong += check(client, process, one)
    return found


def check(client: Sound, process: str, one: Flood) -> list[str]:
    """What is not as it must be of a flood that ended: counts, the gap, and the text at its edges."""
    head, tail_start = min(one.size, HEAD), max(HEAD, one.size - TAIL)
    wrong: list[str] = []
    offsets = {0, max(0, head - 500), tail_start, max(tail_start, one.size - 500)}
    for offset in sorted(offset for offset in offsets if offset < one.size):
        text = client.ok("read_output", process_id=process, offset=offset, limit=2000).text
        output, _, status = text.rpartition("\n[")
        bounds, dropped = BYTES.search(status), DROPPED.search(status)
        if bounds is None or int(bounds[3]) != one.size or "exited 0" not in status:
            wrong.append(f"{one.number}: {status}")
            continue
        start, end = int(bounds[1]), int(bounds[2])
        gap = (int(dropped[1]), int(dropped[2])) if dropped else (head, head)
        if start != offset or gap != ((head, tail_start) if one.size > RINGS else (head, head)):
            wrong.append(f"{one.number} at {offset}: {status}")
        if not is_window(output, one.text(start, end)):
            wrong.append(f"{one.number} at {offset}: another text: {output[:80]!r}")
    return wrong


def _follow(client: RawClient, process: str, one: Flood, offset: int, wrong: list[str]) -> int:
    """Read on as a chat would; the next offset."""
    text = client.ok("read_output", process_id=process, offset=offset, limit=16000).text
    output, _, status = text.rpartition("\n[")
    bounds = BYTES.search(status)
    if bounds is None:
        return offset  # nothing new
    start, end = int(bounds[1]), int(bounds[2])
    if start < offset or not is_window(output, one.text(start, end)):
        wrong.append(f"{one.number} from {offset}: {status} {output[:80]!r}")
    return end


def is_window(shown: str, expected: str) -> bool:
    """Whether an answer shows this. The line break before its status is the output's last, or its own."""
    return f"{shown}\n" == expected if expected.endswith("\n") else shown == expected


def _others(client: RawClient, process: str) -> list[float]:
    """What somebody else does meanwhile."""
    read = client.ok("read_output", process_id=process, limit=200)
    return [read.seconds, client.ok("list_processes", limit=20).seconds]


def _listed(client: RawClient) -> list[Json]:
    return list(_entries(client.ok("list_processes", limit=200).structured))


def _entries(answer: Json) -> Generator[Json]:
    processes = answer["processes"]
    assert isinstance(processes, list)
    yield from processes


def _written(one: Json) -> int:
    count = one.get("output_bytes", 0)
    assert isinstance(count, int)
    return count


@contextmanager
def _workspace(client: RawClient) -> Generator[str]:
    """The one in which they are; gives who lets them begin."""
    client.ok("provision_workspace", kind="local")
    keeper = client.ok(
        "start_process", command="mkfifo gate; exec 3<>gate; echo kept; cat >&3", keep_stdin=True, wait_s=0
    )
    process = str(keeper.structured["process_id"])
    client.ok("read_output", process_id=process, wait_for="pattern", pattern="kept")
    try:
        yield process
    finally:
        client.call("remove_workspace", name="main", keep_data=False)
