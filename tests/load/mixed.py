"""Mixed work of several chats over both transports, for minutes or for hours, and what it leaves: nothing."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from tests.bench.ground import IMAGE
from tests.load.chores import Worker
from tests.load.serving import open_http, open_state, open_stdio
from tests.load.vitals import Course, Server, Vitals, above, descriptors_of, execds_of, returned, vitals_of
from tests.support.docker_cli import containers_of, networks_of, remove_instance, volumes_of
from tests.support.memory import memory_of
from ws_mcp.core.devcontainers.cli_found import find_cli
from ws_mcp.core.devcontainers.port import CliMissingError
from ws_mcp.core.state import open_state as open_store

WARM_UP = 150  # steps of each worker before it counts: what is loaded and cached once is there then
CHATS_OVER_HTTP = ("alice", "alice", "bob")
IDLE_S = 12.0  # idle worker threads go after 10 s
SETTLE_S = 60.0
PER = 10_000
POLICY = """\
[limits]
calls_at_once = 64
calls_per_s = 10000.0
calls_burst = 10000
[[grant]]
principal = "*"
tools = ["*"]
images = ["*"]
local = true
"""
Show = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Watch:
    """One server before, during and after. `resident`: bytes by the calls that were made; the others by seconds."""

    name: str
    server: Server
    before: Vitals | None = None
    after: Vitals | None = None
    above: Sequence[str] = ()
    resident: Course = field(default_factory=Course)
    memory: Course = field(default_factory=Course)
    descriptors: Course = field(default_factory=Course)

    @property
    def growth(self) -> float:
        """Bytes of ten thousand calls more."""
        return self.resident.slope() * PER


@dataclass(slots=True, kw_only=True)
class Mixed:
    """What a run showed. `daemons`: bytes of all execds by the calls that were made."""

    seed: int
    seconds: float
    calls: int
    watches: list[Watch]
    workers: list[Worker]
    daemons: Course

    @property
    def wrong(self) -> list[str]:
        """Answers that were not what they had to be."""
        return [wrong for worker in self.workers for wrong in worker.wrong]


def quiet(_said: str) -> None:
    """Tell nobody."""


def mix(
    seconds: float,
    seed: int,
    *,
    engine: bool = False,
    warm_up: int = WARM_UP,
    idle_s: float = IDLE_S,
    show: Show = quiet,
) -> Mixed:
    """So many seconds of it. `engine`: containers, too, on the engine that answers. `show` is told how far it is.

    `idle_s`: how long the servers are left alone before what they have is what they began with.
    """
    with open_state() as state, ExitStack() as stack:
        instance = anyio.run(_instance, state)
        if engine:
            stack.callback(remove_instance, instance)
        flags = ("--image", IMAGE) if engine else ("--engine", "none")
        project = _project(state.parent / "root") if engine and _has_cli() else ""
        own = ("--root", str(Path(project).parent)) if project else ()
        policy = state.parent / "policy.toml"
        policy.write_text(POLICY)
        client, near = stack.enter_context(open_stdio(state, *flags, *own))
        far = stack.enter_context(open_http(state, "--policy", str(policy), "--audit", "on", *flags))
        callers = [client, *(far.caller(person) for person in CHATS_OVER_HTTP)]
        workers = [
            Worker(caller=caller, seed=seed * 100 + number, engine=engine and number < 2)
            for number, caller in enumerate(callers)
        ]
        workers[0].project = project
        watches = [Watch(name="stdio", server=near), Watch(name="HTTP", server=far.server)]
        on_engine = (lambda: _count(instance)) if engine else int
        work(workers, lambda worker: worker.done < warm_up)
        _tidied(workers)
        time.sleep(idle_s)
        for watch in watches:
            watch.before = vitals_of(watch.server, on_engine)
        base = sum(worker.done for worker in workers)
        run = Mixed(seed=seed, seconds=0, calls=0, watches=watches, workers=workers, daemons=Course())
        begin = time.monotonic()
        with _sampled(run, state, begin, base, show):
            work(workers, lambda _: time.monotonic() - begin < seconds)
        run.seconds, run.calls = time.monotonic() - begin, sum(worker.done for worker in workers) - base
        _tidied(workers)
        for watch in watches:
            before, server = watch.before, watch.server
            assert before is not None
            watch.after, watch.above = returned(
                lambda server=server: vitals_of(server, on_engine),
                lambda now, before=before: above(now, before),
                SETTLE_S,
            )
        return run


def work(workers: Sequence[Worker], goes_on: Callable[[Worker], bool]) -> None:
    """All at once, each in a thread; what ends one is in its `wrong`."""

    def one(worker: Worker) -> None:
        try:
            worker.begin()
            while goes_on(worker):
                worker.step()
        except Exception as error:  # noqa: BLE001 - in a thread nobody else would see it
            worker.wrong.append(f"{type(error).__name__}: {error}"[:500])

    threads = [threading.Thread(target=one, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _tidied(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.tidy()


@contextmanager
def _sampled(run: Mixed, state: Path, begin: float, base: int, show: Show) -> Generator[None]:
    """Note every second what the servers cost."""
    is_over = threading.Event()

    def sample() -> None:
        shown = begin
        while not is_over.wait(1):
            passed, calls = time.monotonic() - begin, sum(worker.done for worker in run.workers) - base
            for watch in run.watches:
                resident = memory_of(watch.server.pid)
                watch.resident.note(calls, resident)
                watch.memory.note(passed, resident)
                watch.descriptors.note(passed, descriptors_of(watch.server.pid))
            run.daemons.note(calls, _memory(execds_of(state)))
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                show(f"{passed:.0f} s, {calls:,} calls, {sum(len(worker.wrong) for worker in run.workers)} wrong")

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield
    finally:
        is_over.set()
        sampler.join()


def _memory(pids: Sequence[int]) -> int:
    total = 0
    for pid in pids:
        try:
            total += memory_of(pid)
        except (OSError, StopIteration):  # it ended in the meantime
            continue
    return total


def _has_cli() -> bool:
    try:
        anyio.run(find_cli, "", os.environ)
    except CliMissingError:
        return False
    return True


def _project(root: Path) -> str:
    """A folder with the definition of a dev container, below a root."""
    folder = root.resolve() / "project"
    (folder / ".devcontainer").mkdir(parents=True)
    (folder / ".devcontainer" / "devcontainer.json").write_text(json.dumps({"image": IMAGE}))
    return str(folder)


async def _instance(state: Path) -> str:
    async with open_store(state) as store:
        return str(store.instance.id)


def _count(instance: str) -> int:
    """Containers, volumes and networks of the instance."""
    return sum(len(found(instance)) for found in (containers_of, volumes_of, networks_of))
