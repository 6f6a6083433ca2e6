"""How the server grows: with processes, containers, chats and output; and what it costs when nobody asks anything."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio

from tests.bench import table
from tests.bench.fit import Point
from tests.bench.ground import Ground, local_argv, settle
from tests.bench.peers.marks import alive, forebear, new_mark
from tests.bench.workspaces import labels_of, make_many, open_workspace, remove_many
from tests.support.memory import forget_peak, memory_of
from tests.support.raw_client import Call, Json, RawClient, open_raw_client, timed
from ws_mcp.core.workspaces import naming

Curves = dict[str, list[Point]]
WORKSPACE = "bench"
BLOCK = 65_536
ASKED = 40  # times, for a median
PAGE, WHOLE_PAGE = 20, 200  # entries of a list: by default, and at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How far each curve goes. `idle_s`: how long the server is watched at rest."""

    processes: Sequence[int]
    containers: Sequence[int]
    chats: Sequence[int]
    output: Sequence[int]
    idle_s: float


FULL = Sizes(
    processes=(1, 10, 100, 1000, 2500, 5000),
    containers=(1, 10, 50, 200, 500),
    chats=(1, 10, 100, 300, 1000),
    output=(10**6, 10**7, 10**8, 10**9, 10**10),
    idle_s=60,
)
QUICK = Sizes(processes=(1, 10, 50), containers=(1, 5, 10), chats=(1, 10, 30), output=(10**6, 10**7, 10**8), idle_s=3)


@contextmanager
def open_local(*flags: str) -> Generator[RawClient]:
    """A server of its own without an engine, with one local workspace."""
    with (
        tempfile.TemporaryDirectory(prefix="ws-mcp-bench-") as directory,
        open_raw_client((*local_argv(Path(directory) / "state"), *flags)) as client,
    ):
        client.ok("provision_workspace", name=WORKSPACE, kind="local")
        try:
            yield client
        finally:
            client.call("remove_workspace", name=WORKSPACE, keep_data=False)


def grow_processes(sizes: Sequence[int]) -> Curves:
    """Living processes of one chat: the time until all run, the list, the memory of server and execd."""
    curves: Curves = {name: [] for name in ("start", "first", "whole", "whole_p99", "server", "execd")}
    mark, took, living = new_mark(), 0.0, 0
    call = Call(tool="start_process", arguments={"command": ["sleep", mark], "workspace": WORKSPACE, "wait_s": 0})
    with open_local("--running", "10000") as client:
        for size in sizes:
            calls = [call] * (size - living)
            took += timed(lambda calls=calls: client.call_all(calls, 50))
            living = size
            execd = _execd_above(mark)
            first, whole = (_asked(client, "list_processes", limit=limit) for limit in (PAGE, WHOLE_PAGE))
            figures = {
                "start": took,
                "first": table.p50(first),
                "whole": table.p50(whole),
                "whole_p99": table.quantile(whole, 0.99),
                "server": memory_of(client.child.pid),
                "execd": memory_of(execd),
            }
            for name, figure in figures.items():
                curves[name].append(Point(size, figure))
    return curves


def grow_containers(ground: Ground, sizes: Sequence[int]) -> Curves:
    """Containers of one chat, made and never started: the list shows those, too."""
    curves: Curves = {"list": [], "server": []}
    with open_workspace(ground.ours) as (name, _):
        labels = labels_of(name)
        try:
            there = 1
            for size in sizes:
                anyio.run(make_many, ground.state, labels, size - there)
                there = size
                while len(cast("list[object]", ground.ours.ok("list_containers").structured["workspaces"])) < size:
                    settle()  # until the events were heard
                curves["list"].append(Point(size, table.p50(_asked(ground.ours, "list_containers"))))
                curves["server"].append(Point(size, memory_of(ground.ours.child.pid)))
        finally:
            anyio.run(remove_many, labels[naming.INSTANCE])
    return curves


def grow_chats(sizes: Sequence[int]) -> Curves:
    """Conversations of one host that have asked for their processes; what the list then takes in each."""
    curves: Curves = {"list": [], "server": []}
    with open_local() as client:
        name, known = secrets.token_hex(4), 0
        for size in sizes:
            for number in range(known, size):
                _in_chat(client, f"{name}-{number}")
            known = size
            step = max(size // ASKED, 1)
            asked = [_in_chat(client, f"{name}-{number}") for number in range(0, size, step) for _ in range(2)]
            curves["list"].append(Point(size, table.p50(asked)))
            curves["server"].append(Point(size, memory_of(client.child.pid)))
    return curves


def grow_output(sizes: Sequence[int]) -> Curves:
    """One process writes so many bytes: how long that takes, and the largest size of server and execd meanwhile."""
    curves: Curves = {"write": [], "server": [], "execd": []}
    mark = new_mark()
    with open_local() as client:
        client.ok("start_process", command=["sleep", mark], workspace=WORKSPACE, wait_s=0)
        execd = _execd_above(mark)
        for size in sizes:
            for pid in (client.child.pid, execd):
                forget_peak(pid)
            took = timed(lambda size=size: _write(client, size))
            curves["write"].append(Point(size, took))
            curves["server"].append(Point(size, memory_of(client.child.pid, "VmHWM")))
            curves["execd"].append(Point(size, memory_of(execd, "VmHWM")))
    return curves


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What one program costs in a minute in which nothing is asked."""

    cpu_ms: float
    wakes: float


def rest_of(client: RawClient, seconds: float) -> Rest:
    """Watch a server that nobody asks anything."""
    time.sleep(min(2.0, seconds))  # what follows the last call
    before = _used(client.child.pid)
    time.sleep(seconds)
    after = _used(client.child.pid)
    minutes = seconds / 60
    # By thread: one that ended takes its count along.
    cpu_ns, wakes = (sum(used[n] - before.get(task, (0, 0))[n] for task, used in after.items()) for n in (0, 1))
    return Rest(cpu_ms=cpu_ns / 1e6 / minutes, wakes=wakes / minutes)


def _used(pid: int) -> dict[str, tuple[int, int]]:
    """Of every thread: nanoseconds on a processor, and how often it went to sleep.

    Source: proc(5), task/TID/schedstat (nanoseconds first) and task/TID/status.
    """
    found: dict[str, tuple[int, int]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        switches = next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
        found[task.name] = (int((task / "schedstat").read_text().split()[0]), switches)
    return found


def _asked(client: RawClient, tool: str, **arguments: object) -> list[float]:
    client.ok(tool, **arguments)
    return [client.ok(tool, **arguments).seconds for _ in range(ASKED)]


def _in_chat(client: RawClient, conversation: str) -> float:
    """A list in the conversation that a host names, as VS Code does."""
    named = {
        "io.modelcontextprotocol/clientInfo": {"name": "Visual Studio Code", "version": "0"},
        "vscode.conversationId": conversation,
    }
    asked: Json = {"name": "list_processes", "arguments": {}, "_meta": named}
    return timed(lambda: client.request("tools/call", asked))


def _write(client: RawClient, size: int) -> None:
    line = f"exec dd if=/dev/zero bs={BLOCK} count={-(-size // BLOCK)} 2>/dev/null"
    started = client.ok("start_process", command=line, workspace=WORKSPACE, wait_s=45).structured
    is_over = started["state"] != "running"
    while not is_over:
        text = client.ok("read_output", process_id=started["process_id"], limit=1, wait_for="exit", wait_s=45).text
        is_over = " running" not in text.rpartition("\n")[2]


def _execd_above(mark: str) -> int:
    found = forebear(alive(mark)[0], "execd\0serve")
    if found is None:
        raise RuntimeError("there is no execd above a process of ours")
    return found
