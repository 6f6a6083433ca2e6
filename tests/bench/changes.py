"""How soon a subscriber hears of a change, and what many subscriptions and many changes cost everybody else."""

from __future__ import annotations

import threading
import time

from tests.bench import table
from tests.bench.ground import Ground, Place
from tests.bench.table import Line
from tests.support.raw_client import Json, RawClient, open_raw_client

PACE_S = 0.3  # between two changes of one address: closer ones are told together
WATCHED = 1000
WRITERS = 100
# Without a process for each wait: it is the server's work that is measured.
EVERY_SECOND = "busybox mkfifo /tmp/$$ && exec 3<>/tmp/$$; while true; do echo x; read -t 1 none <&3; done"
CALLS = 100


def measure_told(ground: Ground, rounds: int) -> list[Line]:
    """From the call that makes a process write until another server's client is told, so the call is in it, too."""
    took: list[float] = []
    with ground.open_place() as place, open_raw_client(ground.argv, "legacy") as watcher:
        answer = ground.ours.ok(
            "start_process", command="exec cat", workspace=place.workspace, keep_stdin=True, wait_s=0
        )
        process = str(answer.structured["process_id"])
        watcher.request("resources/subscribe", {"uri": _output(ground).format(process)})
        for _ in range(10 * rounds):
            time.sleep(PACE_S)
            watcher.forget_unread()
            heard = threading.Thread(target=lambda: (watcher.next_notification(), took.append(time.perf_counter())))
            heard.start()
            begin = time.perf_counter()
            ground.ours.ok("write_input", process_id=process, text="x", enter=True)
            heard.join()
            took[-1] -= begin
    note = f"(p95 {table.duration(table.p95(took))})"
    return [table.below("a process writes until a subscriber is told", table.p50(took), 0.1, table.duration, note)]


def measure_watched(ground: Ground, rounds: int) -> list[Line]:
    """One client watches 1,000 addresses, of which 100 change each second; its calls beside that and before."""
    quiet, beside = list[float](), list[float]()
    with ground.open_place() as place, open_raw_client(ground.argv, "legacy") as watcher:
        other = ground.ours.ok("start_process", command="echo hi", workspace=place.workspace)
        read: Json = {"process_id": str(other.structured["process_id"])}
        quiet += _calls(watcher, read, rounds)
        writers, output = _writers(ground, place), _output(ground)
        for number in range(WATCHED):
            process = writers[number] if number < len(writers) else f"p_none{number}"
            watcher.request("resources/subscribe", {"uri": output.format(process)})
        watcher.next_notification()
        beside += _calls(watcher, read, rounds)
    name = f"{WATCHED:,} subscriptions, {WRITERS} changes a second: p95 of other calls / quiet"
    ratio = table.p95(beside) / table.p95(quiet)
    return [table.at_most(name, table.duration(table.p95(beside)), table.duration(table.p95(quiet)), ratio, 2)]


def _writers(ground: Ground, place: Place) -> list[str]:
    start: Json = {"command": EVERY_SECOND, "workspace": place.workspace, "wait_s": 0}
    writers: list[str] = []
    for _ in range(WRITERS):
        begin = time.perf_counter()
        writers.append(str(ground.ours.ok("start_process", **start).structured["process_id"]))
        time.sleep(max(0.0, begin + 1 / WRITERS - time.perf_counter()))  # so that they write one after the other
    return writers


def _calls(client: RawClient, read: Json, rounds: int) -> list[float]:
    return [client.ok("read_output", **read).seconds for _ in range(CALLS * rounds)]


def _output(ground: Ground) -> str:
    chat = ground.ours.ok("list_processes", limit=1).structured["chat"]
    return f"ws://chats/{chat}/processes/{{}}/output"
