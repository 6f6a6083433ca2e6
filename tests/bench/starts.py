"""How long a start takes, one at a time and with 50 callers at once; how long a read takes."""

from __future__ import annotations

import subprocess

from tests.bench import table
from tests.bench.ground import Ground, Place, exec_argv, settle
from tests.bench.table import Line
from tests.support.raw_client import Answer, Call, timed

COMMAND = "true"
CALLERS = 50


def measure_starts(ground: Ground, place: Place, rounds: int) -> list[Line]:
    """Starts and reads, one at a time; the sides take turns, so that load of the machine hits all of them."""
    whole, begun, noop, read, by_exec, by_exec_detached = ([] for _ in range(6))
    kept = _process_with_output(ground, place)
    detached = ("docker", "exec", "--detach", *exec_argv(place, COMMAND)[2:])
    for _ in range(rounds):
        whole += [_start(ground, place).seconds for _ in range(40)]
        noop += [ground.empty.ok("noop").seconds for _ in range(40)]
        begun += [_start(ground, place, wait_s=0).seconds for _ in range(40)]
        noop += [ground.empty.ok("noop").seconds for _ in range(40)]
        read += [ground.ours.ok("read_output", process_id=kept).seconds for _ in range(40)]
        by_exec += [timed(lambda: _run(exec_argv(place, COMMAND))) for _ in range(8)]
        by_exec_detached += [timed(lambda: _run(detached)) for _ in range(8)]
        settle()
    exec_p50, noop_p50 = table.p50(by_exec), table.p50(noop)
    show = table.spread
    return [
        table.at_least(
            "start_process until it ended, with its output / docker exec",
            show(whole),
            show(by_exec),
            exec_p50 / table.p50(whole),
            20,
        ),
        table.at_least(
            "start_process until it runs (wait_s=0) / docker exec --detach",
            show(begun),
            show(by_exec_detached),
            table.p50(by_exec_detached) / table.p50(begun),
            20,
        ),
        table.at_most(
            "start_process until it ended / no-op call of the SDK",
            show(whole),
            show(noop),
            table.p50(whole) / noop_p50,
            4,
        ),
        table.at_most(
            "start_process until it runs / no-op call of the SDK",
            show(begun),
            show(noop),
            table.p50(begun) / noop_p50,
            4,
        ),
        table.at_most("read_output / no-op call of the SDK", show(read), show(noop), table.p50(read) / noop_p50, 2),
    ]


def measure_callers(ground: Ground, place: Place, rounds: int) -> list[Line]:
    """Throughput with 50 callers at once, each until its process ended."""
    ours, noop, by_exec = ([] for _ in range(3))
    start = Call(tool="start_process", arguments={"command": COMMAND, "workspace": place.workspace})
    nothing = Call(tool="noop", arguments={})
    count = CALLERS * 8
    for _ in range(rounds):
        ours.append(count / timed(lambda: ground.ours.call_all([start] * count, CALLERS)))
        noop.append(count / timed(lambda: ground.empty.call_all([nothing] * count, CALLERS)))
        by_exec.append(CALLERS / timed(lambda: _run_at_once(exec_argv(place, COMMAND))))
        settle()
    mine = table.p50(ours)
    return [
        table.at_least(
            "50 callers at once, start until ended / docker exec",
            table.rate(mine),
            table.rate(table.p50(by_exec)),
            mine / table.p50(by_exec),
            50,
        ),
        Line(
            name="50 callers at once / no-op calls of the SDK",
            ours=table.rate(mine),
            alternative=table.rate(table.p50(noop)),
            ratio=f"{mine / table.p50(noop):.2f}x",
        ),
    ]


def _start(ground: Ground, place: Place, **more: object) -> Answer:
    return ground.ours.ok("start_process", command=COMMAND, workspace=place.workspace, **more)


def _process_with_output(ground: Ground, place: Place) -> str:
    """A process that wrote a page and lives: one that ended would lose its output to the starts of the other lines."""
    command = "i=0; while [ $i -lt 50 ]; do echo line $i of fifty; i=$((i+1)); done; exec sleep 3600"
    answer = ground.ours.ok("start_process", command=command, workspace=place.workspace, wait_s=0.5)
    return str(answer.structured["process_id"])


def _run(argv: tuple[str, ...]) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _run_at_once(argv: tuple[str, ...]) -> None:
    children = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(CALLERS)]
    for child in children:
        if child.wait(120):
            raise subprocess.CalledProcessError(child.returncode, argv)
