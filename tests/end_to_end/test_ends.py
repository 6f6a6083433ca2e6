"""Every way in which a server ends, or its client goes: what is kept and what is gone, as `docs/operations.md` says.

The table there is what is tested: each of its rows (with `make soak` once for each transport) on a server with
processes in both kinds of workspaces, a call that waits, and a provision whose container is there and not told of yet.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync as in_thread
from support.ends_callers import StdioCaller
from support.ends_scene import Scene, calls_cut, open_scene, open_server, parent_of, pid_of
from support.ends_table import Row, documented
from support.instances import Instance, open_instance
from support.peers import Json, until
from support.small_disk import fill, small_disk
from support.soaked import IS_LONG

AT_ONCE = 3  # rows; the machine has few processors, and some rows only wait
LATE_S = 15.0  # in which is seen what became of the rest; it is so before, and nobody tells
BEGUN = 2  # calls: one waits, one provisions
HUNG = "hung"  # the local workspace whose execd is stopped

Way = Callable[[Scene], Awaitable[None]]


def _stdio(scene: Scene) -> StdioCaller:
    assert isinstance(scene.caller, StdioCaller)
    return scene.caller


async def _input_ends(scene: Scene) -> None:
    _stdio(scene).close_input()


async def _output_closes(scene: Scene) -> None:
    _stdio(scene).close_output()


async def _terminal_closes(scene: Scene) -> None:
    _stdio(scene).close_output()
    _stdio(scene).close_input()


async def _is_told(taken: signal.Signals, scene: Scene) -> None:
    scene.tell(taken)


async def _is_told_twice(scene: Scene) -> None:
    scene.tell(signal.SIGTERM)
    await _is_closing(scene)
    scene.tell(signal.SIGTERM)


async def _is_closing(scene: Scene) -> None:
    """Serving is over, and all that stands around it is being closed."""
    while scene.metrics.exists() and scene.server.child.poll() is None:  # noqa: ASYNC110 - it tells nobody
        await anyio.sleep(0.01)


async def _engine_goes(scene: Scene) -> None:
    scene.proxy.is_open = False
    await scene.proxy.cut()
    scene.tell(signal.SIGTERM)


async def _execd_hangs(scene: Scene) -> None:
    os.kill(parent_of(pid_of(scene.local)), signal.SIGSTOP)
    scene.tell(signal.SIGTERM)


async def _disk_is_full(scene: Scene) -> None:
    fill(scene.instance.state)
    scene.tell(signal.SIGTERM)


async def _client_leaves(scene: Scene) -> None:
    await in_thread(scene.caller.leave)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How a row is done. `goes_on`: the engine answers again, from when calls have ended on."""

    way: Way
    kind: str = ""
    flags: tuple[str, ...] = ()
    here: str = "here"
    goes_on: bool = True


TERM = partial(_is_told, signal.SIGTERM)
CASES: Mapping[str, Case] = {
    "stdin ends": Case(way=_input_ends),
    "TERM": Case(way=TERM),
    "INT": Case(way=partial(_is_told, signal.SIGINT)),
    "HUP, without a policy file": Case(way=partial(_is_told, signal.SIGHUP)),
    "the terminal closes": Case(way=_terminal_closes, kind="terminal"),
    "the client closes stdout": Case(way=_output_closes),
    "TERM with `--keep-local`": Case(way=TERM, flags=("--keep-local",)),
    "TERM, and again before it has ended": Case(way=_is_told_twice, goes_on=False),
    "KILL": Case(way=partial(_is_told, signal.SIGKILL)),
    "stdin ends while the engine hangs": Case(way=_input_ends, goes_on=False),
    "TERM while the engine hangs": Case(way=TERM, goes_on=False),
    "TERM after the engine went away": Case(way=_engine_goes),
    "TERM while the execd of a local workspace hangs": Case(way=_execd_hangs, here=HUNG),
    "TERM with the disk of the state full": Case(way=_disk_is_full),
    "a fault of ws-mcp's own": Case(way=partial(_is_told, signal.SIGUSR1), kind="faulty"),
    "the client cancels its calls": Case(way=_client_leaves, flags=("--audit", "on")),
    "the client goes away in the middle of calls": Case(way=_client_leaves, flags=("--audit", "on")),
}
FULL = "TERM with the disk of the state full"


def looked_at() -> list[Row]:
    """Each row over one transport, those in turn; with `make soak` over all that it is about."""
    over: dict[str, list[Row]] = {}
    for row in documented():
        over.setdefault(row.what, []).append(row)
    return [
        row for number, rows in enumerate(over.values()) for row in (rows if IS_LONG else [rows[number % len(rows)]])
    ]


def test_the_table_has_all_rows_that_there_are_cases_for() -> None:
    assert {row.what for row in documented()} == CASES.keys()


async def _all_are_cut(scene: Scene) -> bool:
    return await in_thread(calls_cut, scene.server.pid) == BEGUN


async def _is_gone(name: str) -> bool:
    return not pid_of(name)


async def check_rest(scene: Scene, row: Row) -> None:
    """What became of processes and of the provision."""
    assert pid_of(scene.boxed), "a container process has gone"
    if row.local == "ended":
        await until(partial(_is_gone, scene.local))
    elif row.local == "kept":
        assert pid_of(scene.local), "the local process has gone"
    else:
        assert row.local == "ended or kept"
    assert row.job in ("undone", "done or undone", "left", "goes on")
    if row.job == "undone" and not scene.ran_out:
        assert await in_thread(scene.of_half) == []


async def check_files(scene: Scene, row: Row) -> None:
    """What the server leaves on the disk for a while, and what it says."""
    assert list((scene.directory / "server" / "tmp").iterdir()) == []
    said = scene.server.log.read_text()
    assert ("Traceback" in said) == (70 in row.codes), said


async def check(scene: Scene, row: Row, case: Case) -> None:
    """Do it, and look what became of all."""
    await case.way(scene)
    began = anyio.current_time()
    with anyio.fail_after(row.at_most_s + LATE_S):
        await (_is_closing(scene) if row.codes else until(partial(_all_are_cut, scene)))
        if case.goes_on:
            scene.proxy.go_on()
        code = await scene.ended() if row.codes else 0
    took = anyio.current_time() - began
    assert took <= row.at_most_s, f"it took {took:.1f} s"
    assert not row.codes or code in row.codes, f"{code}: {scene.server.log.read_text()}"
    assert row.call == "cut"
    assert not await in_thread(scene.caller.was_answered)
    with anyio.fail_after(LATE_S):
        await check_rest(scene, row)
    await check_files(scene, row)


class Rows:
    """The rows of one instance, some at once."""

    def __init__(self, instance: Instance, directory: Path) -> None:
        self._instance = instance
        self._directory = directory
        self._turns = anyio.Semaphore(AT_ONCE)
        self.untrue: dict[str, str] = {}
        self.left: list[tuple[str, str]] = []  # over what, and what is called so
        self.local: set[tuple[str, str]] = set()  # the same of local workspaces

    async def look(self, number: int, row: Row) -> None:
        """One of them."""
        case, directory = CASES[row.what], self._directory / f"half-{number}"
        async with self._turns:
            began, is_left = anyio.current_time(), True
            try:
                async with (
                    self._ground(row) as instance,
                    open_scene(
                        instance, directory, row.over, kind=case.kind, flags=case.flags, here=case.here
                    ) as scene,
                ):
                    await check(scene, row, case)
                    is_left = row.job != "undone" or scene.ran_out
            except Exception as error:  # noqa: BLE001 - the other rows are looked at, too
                self.untrue[str(row)] = "".join(traceback.format_exception(error))
            if row.what != FULL:
                self.local.add((row.over, case.here))
                self.left += [(row.over, directory.name)] if is_left else []
            print(f"{row}: {anyio.current_time() - began:.1f} s")

    @asynccontextmanager
    async def _ground(self, row: Row) -> AsyncGenerator[Instance]:
        """The instance of all, or one on a disk of its own that may be filled."""
        if row.what != FULL:
            yield self._instance
            return
        directory = self._directory / "full"
        directory.mkdir()
        with small_disk(directory / "state"), open_instance(directory) as instance:
            yield instance

    async def close(self, over: str) -> None:
        """The next server has whole what was left half, and nothing beside it; then it takes the local ones away."""
        async with open_server(self._instance, self._directory / f"last-{over}", over) as server:
            names = [name for each, name in self.left if each == over]
            again: list[Json] = [{"name": name, "kind": "container"} for name in names]
            await in_thread(server.caller.all_ok, "provision_workspace", again)
            kept: list[Json] = [{"name": name, "keep_data": False} for each, name in self.local if each == over]
            await in_thread(server.caller.all_ok, "remove_workspace", kept)
        assert {name for name in self._instance.containers if name.endswith(("-new", "-old"))} == set()


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_each_row_of_the_table_is_true(instance: Instance, tmp_path: Path) -> None:
    rows = Rows(instance, tmp_path)
    async with anyio.create_task_group() as tasks:
        for number, row in enumerate(looked_at()):
            tasks.start_soon(rows.look, number, row)
    await rows.close("stdio")
    await rows.close("HTTP")
    assert not rows.untrue, "\n".join((*rows.untrue, *rows.untrue.values()))
