"""Many processes in one workspace: 100 started at once, 1,000 alive while they are listed."""

from __future__ import annotations

import time

from tests.bench import table
from tests.bench.ground import Ground, Place
from tests.bench.table import Line
from tests.support.docker_cli import docker
from tests.support.raw_client import Call, timed

LIVING = "exec sleep 3600"
LIFTED_PIDS = 8192
SHOWN = 200  # the most that one call lists


def measure_hundred(ground: Ground, rounds: int) -> list[Line]:
    """100 starts sent at once; the time until the last of them is said to run."""
    took: list[float] = []
    with ground.open_place() as place:
        for _ in range(rounds):
            begin = time.perf_counter()
            started = ground.ours.call_all([_start(place)] * 100, 100)
            took.append(time.perf_counter() - begin)
            ends = [
                Call(tool="signal_process", arguments={"process_id": answer.structured["process_id"], "signal": "KILL"})
                for answer in started
            ]
            ground.ours.call_all(ends, 10)
    return [table.below("100 processes started at once", table.p50(took), 0.5, table.duration)]


def measure_thousand(ground: Ground, count: int) -> list[Line]:
    """List many living processes. The engine lifts the tier's limit of pids: the claim is about the list."""
    with ground.open_place() as place:
        docker("update", "--pids-limit", str(LIFTED_PIDS), place.container)
        took = timed(lambda: ground.ours.call_all([_start(place)] * count, 50))
        first = [ground.ours.ok("list_processes", limit=20).seconds for _ in range(20)]
        whole = [ground.ours.ok("list_processes", limit=SHOWN).seconds for _ in range(20)]
        noop = [ground.empty.ok("noop").seconds for _ in range(20)]
    note = f"(p95 {table.duration(table.p95(whole))}; no-op call {table.duration(table.p50(noop))})"
    name = f"list_processes with {count:,} living"
    return [
        table.below(f"{name}, {SHOWN} of them", table.p50(whole), 0.02, table.duration, note),
        table.below(f"{name}, the first 20", table.p50(first), 0.02, table.duration),
        Line(name=f"{count:,} processes started by 50 callers", ours=table.duration(took)),
    ]


def _start(place: Place) -> Call:
    return Call(tool="start_process", arguments={"command": LIVING, "workspace": place.workspace, "wait_s": 0})
