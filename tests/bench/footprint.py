"""What the server and execd cost at rest: first answer, memory, size; and how long a set-up from nothing takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import table
from tests.bench.ground import EMPTY, ROOT, Ground
from tests.bench.table import Line
from tests.support.memory import memory_of
from tests.support.raw_client import RawClient, open_child, timed

MB = 1_000_000


def measure_server(ground: Ground, starts: int) -> list[Line]:
    """Fresh servers, in turn: from their start to the first answer, and their memory after the list of tools."""
    ours, empty, our_memory, empty_memory = ([] for _ in range(4))
    for _ in range(starts):
        for argv, took, memory in ((EMPTY, empty, empty_memory), (ground.argv, ours, our_memory)):
            seconds, resident = _first_answer(argv)
            took.append(seconds)
            memory.append(resident)
    resident, floor = table.p50(our_memory), table.p50(empty_memory)
    worked = memory_of(ground.ours.child.pid)
    return [
        table.at_most(
            "server: first answer / empty SDK server",
            table.duration(table.p50(ours)),
            table.duration(table.p50(empty)),
            table.p50(ours) / table.p50(empty),
            1.3,
        ),
        table.at_most(
            "server: resident, ready / empty SDK server", table.size(resident), table.size(floor), resident / floor, 1.3
        ),
        table.at_most(
            "server: resident, after all of this / empty SDK server",
            table.size(worked),
            table.size(floor),
            worked / floor,
            1.3,
        ),
    ]


def measure_execd_on_disk() -> list[Line]:
    """The largest of the programs that the wheel carries."""
    programs = sorted((ROOT / "src" / "ws_mcp" / "_execd").glob("execd-*"))
    largest = max(program.stat().st_size for program in programs)
    return [table.below("execd on disk (the largest of all platforms)", largest, 4 * MB, table.size)]


def measure_set_up() -> list[Line]:
    """`make setup` in a clean clone of what is committed, with empty caches."""
    with tempfile.TemporaryDirectory(prefix="ws-mcp-setup-") as directory:
        clone, caches = Path(directory) / "clone", Path(directory) / "caches"
        subprocess.run(("git", "clone", "--quiet", str(ROOT), str(clone)), check=True)
        names = ("UV_CACHE_DIR", "PIP_CACHE_DIR", "GOCACHE", "GOMODCACHE", "XDG_CACHE_HOME")
        environment = {**os.environ, **{name: str(caches / name) for name in names}}
        argv = ("make", "-C", str(clone), "setup", f"PYTHON={sys.executable}")
        took = timed(lambda: subprocess.run(argv, check=True, env=environment, stdout=subprocess.DEVNULL))
    return [table.below("set-up from a clean clone with cold caches", took, 90, table.duration)]


def _first_answer(argv: Sequence[str]) -> tuple[float, int]:
    begin = time.perf_counter()
    with open_child(argv) as child:
        client = RawClient(child)
        client.connect()
        took = time.perf_counter() - begin
        client.request("tools/list", {})
        return took, memory_of(child.pid)
