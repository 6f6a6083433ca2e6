"""A process that writes 1 GB: how fast it gets on, what it costs server and execd, how others fare."""

from __future__ import annotations

import subprocess

from tests.bench import table
from tests.bench.ground import Ground, Place, exec_argv, memory_of_execd, settle
from tests.bench.table import Line
from tests.support.memory import forget_peak, memory_of
from tests.support.raw_client import timed

BLOCK = 64 * 1024
MB = 1_000_000


def measure_flood(ground: Ground, rounds: int, megabytes: int) -> list[Line]:
    """The sides take turns; then the same again with calls of others in between."""
    blocks = megabytes * MB // BLOCK
    command = f"exec dd if=/dev/zero bs={BLOCK} count={blocks} 2>/dev/null"
    written = blocks * BLOCK
    ours, by_exec, quiet, beside = ([] for _ in range(4))
    with ground.open_place() as place:
        idle = memory_of_execd(place)
        ground.ours.ok("start_process", command="true", workspace=place.workspace)
        server = ground.ours.child.pid
        before = memory_of(server)
        forget_peak(server)
        for _ in range(rounds):
            by_exec.append(written / timed(lambda: _exec_to_nowhere(place, command)))
            settle()
            ours.append(written / timed(lambda: _write(ground, place, command)))
        for _ in range(rounds):
            quiet += _others(ground, place, 40)
            beside += _others_beside(ground, place, command)
        grown = memory_of(server, "VmHWM") - before
        peak = memory_of_execd(place, "VmHWM")
    ratio = table.p50(ours) / table.p50(by_exec)
    name = f"a process writes {megabytes:,} MB"
    show = table.size
    return [
        table.at_least(
            f"{name} / docker exec > /dev/null", f"{show(table.p50(ours))}/s", f"{show(table.p50(by_exec))}/s", ratio, 2
        ),
        table.below(f"{name}: the server grows by", grown, 10 * MB, show),
        table.below(f"{name}: execd at its largest", peak, 16 * MB, show),
        table.at_most(
            f"{name}: p95 of other calls / quiet",
            table.duration(table.p95(beside)),
            table.duration(table.p95(quiet)),
            table.p95(beside) / table.p95(quiet),
            3,
        ),
        table.below("execd, idle", idle, 6 * MB, show),
    ]


def _exec_to_nowhere(place: Place, command: str) -> None:
    subprocess.run(exec_argv(place, command), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _write(ground: Ground, place: Place, command: str) -> None:
    answer = ground.ours.ok("start_process", command=command, workspace=place.workspace, wait_s=45)
    if answer.structured["state"] != "ended":
        raise TimeoutError(f"the writer did not end: {answer.text}")


def _others(ground: Ground, place: Place, count: int) -> list[float]:
    """What somebody else does meanwhile: start, read, list."""
    took: list[float] = []
    for _ in range(count):
        started = ground.ours.ok("start_process", command="echo hi", workspace=place.workspace)
        read = ground.ours.ok("read_output", process_id=started.structured["process_id"])
        took += [started.seconds, read.seconds, ground.ours.ok("list_processes", limit=20).seconds]
    return took


def _others_beside(ground: Ground, place: Place, command: str) -> list[float]:
    writer = ground.ours.ok("start_process", command=command, workspace=place.workspace, wait_s=0)
    took: list[float] = []
    while True:
        took += _others(ground, place, 1)
        state = ground.ours.ok("read_output", process_id=writer.structured["process_id"], limit=1)
        if "running" not in state.text.splitlines()[-1]:
            return took
