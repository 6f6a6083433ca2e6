"""The steps that every side goes through, each on a server of its own.

No step waits longer than a minute for anything: what is not done by then is said to be so.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from tests.bench import table
from tests.bench.peers.bench import SETTLE_S, Bench, Effort, read_until, shows
from tests.bench.peers.figures import LIMIT_S, Figure, Figures, count, of_all, seconds, size
from tests.bench.peers.marks import alive, end_all, forebear, left_after, new_mark
from tests.bench.peers.restart import measure_restart
from tests.bench.peers.side import Side, UnknownProcessError
from tests.support.memory import forget_peak, memory_of
from tests.support.raw_client import RawClient, RawClientError, timed

BREATH_S = 0.3  # before the flood, so that its beginning is seen
_UNSHOWN = ", without what it has printed"
# More than once, for there is a server that keeps the last piece back until another one comes.
_SAYS_HERE = "for word in here here here; do echo $word; sleep 0.1; done"


def measure_start(bench: Bench) -> Figures:
    """The server's first answer and size, then starts one after the other, then reads of one output."""
    side = bench.side
    begin = time.perf_counter()
    with bench.open() as client:
        took = time.perf_counter() - begin
        resident = memory_of(client.child.pid)
        starts, until_read = ([] for _ in range(2))
        for number in range(bench.effort.starts):
            begin = time.perf_counter()
            process = side.start(client, f"echo word-{number}")
            starts.append(time.perf_counter() - begin)
            read_until(side, client, process, f"word-{number}")
            until_read.append(time.perf_counter() - begin)
        process = side.start(client, f"{_SAYS_HERE}; sleep {bench.mark}")
        is_shown = shows(side, client, process, "here")
        reads = [timed(lambda: side.read(client, process)) for _ in range(bench.effort.reads)]
    return {
        "ready": seconds(took),
        "resident": size(resident),
        "start": Figure(value=table.p50(starts), text=table.spread(starts)),
        "until_read": Figure(value=table.p50(until_read), text=table.spread(until_read)),
        "read": Figure(value=table.p50(reads), text=table.spread(reads) + ("" if is_shown else _UNSHOWN)),
    }


def measure_many(bench: Bench) -> Figures:
    """So many processes that print; a read and the list while they live; then all are ended."""
    side, wanted = bench.side, bench.effort.many
    found: Figures = {}
    with bench.open() as client:
        begin, processes = time.monotonic(), []
        while len(processes) < wanted and time.monotonic() - begin < LIMIT_S:
            processes.append(side.start(client, f"while :; do echo tick; sleep 1; done; : {bench.mark}"))
        found["many"] = of_all(time.monotonic() - begin, len(processes), wanted)
        reads = [timed(partial(side.read, client, process)) for process in processes]
        found["many_read"] = Figure(value=table.p50(reads), text=table.spread(reads))
        listing: list[str | None] = []
        took = timed(lambda: listing.append(side.list(client)))
        found["many_list"] = (
            Figure(text="has none") if listing == [None] else Figure(value=took, text=table.duration(took))
        )
        found["many_resident"] = size(memory_of(client.child.pid))
        begin, ended = time.monotonic(), 0
        while ended < len(processes) and time.monotonic() - begin < LIMIT_S:
            side.end(client, processes[ended])
            ended += 1
        found["many_ended"] = of_all(time.monotonic() - begin, ended, len(processes))
        found["many_left"] = count(left_after(bench.mark, SETTLE_S))
    return found


def measure_flood(bench: Bench) -> Figures:
    """One process writes lines; meanwhile the output of another is read."""
    side, wanted = bench.side, bench.effort.flood_bytes
    word = f"{bench.mark} a line of the flood of output, as long as lines are"
    with bench.open() as client:
        quiet_mark = new_mark()
        quiet = side.start(client, f"{_SAYS_HERE}; sleep {quiet_mark}")
        shows(side, client, quiet, "here")
        servers = [client.child.pid, *_execds(quiet_mark)]
        for pid in servers:
            forget_peak(pid)
        beside: list[float] = []
        process = side.start(client, f"sleep {BREATH_S}; yes '{word}' | head -c {wanted}")
        begin = _begun(bench.mark) + BREATH_S
        while (is_busy := bool(alive(bench.mark))) and time.monotonic() - begin < LIMIT_S:
            beside.append(timed(lambda: side.read(client, quiet)))
            time.sleep(0.01)
        took = max(time.monotonic() - begin, 0.0)
        answer = _plain_read(bench, client, process)
        peak = sum(memory_of(pid, "VmHWM") for pid in servers)
        end_all(quiet_mark)
    return {
        "flood": Figure(value=LIMIT_S, text=f"not within {LIMIT_S:.0f} s") if is_busy else seconds(took),
        "flood_peak": size(peak),
        "flood_answer": answer,
        "flood_slowest": seconds(max(beside, default=0.0)),
    }


def measure_kill(bench: Bench) -> Figures:
    """A shell with a child, a grandchild, and a child of nobody in a session of its own."""
    side, mark = bench.side, bench.mark
    with bench.open() as client:
        line = f"sleep {mark} & sh -c 'sleep {mark} & wait' & (setsid sleep {mark} 1>&- 2>&- &); {_SAYS_HERE}; wait"
        process = side.start(client, line)
        read_until(side, client, process, "here")
        before = len(alive(mark))
        took = timed(lambda: side.end(client, process))
        left = left_after(mark, SETTLE_S)
    return {"kill_left": Figure(value=left, text=f"{left} of {before}"), "kill": seconds(took)}


STEPS: Mapping[str, Callable[[Bench], Figures]] = {
    "start and read": measure_start,
    "many": measure_many,
    "a flood": measure_flood,
    "kill": measure_kill,
    "kill -9 and restart": measure_restart,
}


def failure_of(step: str) -> str:
    """Under which name a failed step is told."""
    return f"failed: {step}"


def go_through(side: Side, effort: Effort, say: Callable[[str], None], names: Collection[str] = STEPS) -> Figures:
    """These steps; one that fails says so in its figures' place, and the next one is tried."""
    found: Figures = {}
    for name, step in STEPS.items():
        if name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="ws-mcp-peers-", ignore_cleanup_errors=True) as directory:
            bench = Bench(side, Path(directory), effort)
            begin = time.monotonic()
            try:
                found |= step(bench)
            except (RawClientError, UnknownProcessError, OSError, KeyError) as error:
                found[failure_of(name)] = Figure(text=f"{type(error).__name__}: {error}"[:300])
            finally:
                end_all(bench.mark)
                _clear(bench)
            say(f"{side.name}: {name} {time.monotonic() - begin:.0f} s")
    return found


def _clear(bench: Bench) -> None:
    """By a server of the same directory, since the one before may be gone."""
    try:
        with bench.open() as client:
            bench.side.clear(client)
    except (RawClientError, OSError):
        return


def _begun(mark: str) -> float:
    """When the shell of the writer was first seen; some start it after they have answered."""
    until = time.monotonic() + LIMIT_S
    while not alive(mark):
        if time.monotonic() > until:
            raise RawClientError(f"the writer did not start within {LIMIT_S:.0f} s")
    return time.monotonic()


def _plain_read(bench: Bench, client: RawClient, process: str) -> Figure:
    """The size of an answer about the flood; a server that gives none has that said."""
    try:
        return size(bench.side.read(client, process).size)
    except RawClientError as error:
        return Figure(text=f"none: {error}")


def _execds(mark: str) -> list[int]:
    """Our daemon above a process; others have none."""
    pids = alive(mark)
    found = forebear(pids[0], "execd\0serve") if pids else None
    return [found] if found else []
