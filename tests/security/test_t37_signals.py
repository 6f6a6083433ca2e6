"""T37: a signal goes to a process of the own chat, has one of seven names, and reaches nothing else."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from support.edge_client import MODES, ok, refused

from ws_mcp.core.choices import Choices
from ws_mcp.core.host import sandbox
from ws_mcp.core.ids import Principal, PrincipalId
from ws_mcp.core.runtime import open_core
from ws_mcp.edge.identity import Hint
from ws_mcp.server import build_server

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed"),
]
BAD_SIGNALS = (
    "", "0", "9", "-9", "15", "STOP", "CONT", "SEGV", "ABRT", "CHLD", "PIPE", "ALRM", "RTMIN", "RTMAX", "TSTP", "URG",
    "KILL;", "KILL 1", "-KILL", "--help", "SIGSIGKILL", "*", "TERM,KILL", "\u212aILL", "NULL",
)  # fmt: skip
BAD_PROCESSES = (
    "", "0", "1", "-1", "-0", "+1", "2147483647", "4294967295", "-2147483648", "1 2", "$$", "self", "*", "%1", "p_",
    "p_*", "p_00000000", "../p_00000000", "p_00000000/..", "P_00000000", "\u0661", "0x1", "1e0",
    str(os.getpid()), f"-{os.getpid()}",
)  # fmt: skip


@asynccontextmanager
async def open_client(path: Path, mode: str) -> AsyncGenerator[Client]:
    async with open_core(Choices(state=path / "state"), None) as core:
        server = build_server(
            core,
            default_hint=Hint(text="project:/x", is_shared=True),
            principal_of=lambda: Principal(id=PrincipalId("local:0")),
        )
        try:
            async with Client(server, mode=mode) as client:
                await ok(client, "provision_workspace", kind="local")
                yield client
        finally:
            for scope, workspace in await core.all_workspaces():
                await core.remove(scope, workspace.name, keep_volume=False)


async def states(client: Client) -> dict[str, Any]:
    return {each["process_id"]: each["state"] for each in (await ok(client, "list_processes"))["processes"]}


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_no_process_of_the_chat_or_no_signal_of_ours_reaches_nobody(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode) as client:
        made = await ok(client, "start_process", command="sleep 600", wait_s=0)
        process = made["process_id"]
        for signal in BAD_SIGNALS:
            assert "`signal` is unknown" in await refused(client, "signal_process", process_id=process, signal=signal)
        for other in BAD_PROCESSES:
            assert "no process" in await refused(client, "signal_process", process_id=other, signal="KILL")
        # The numbers of real processes: of the sandbox, of the process itself, of this server.
        inside = await ok(client, "start_process", command="echo $$ $PPID; ls /proc", wait_s=30)
        for number in {word for word in inside["output"].split() if word.isdigit()}:
            assert "no process" in await refused(client, "signal_process", process_id=number, signal="KILL")
        assert (await states(client))[process] == "running"
        for bad in (-1, "x", "nan"):
            await refused(client, "signal_process", process_id=process, grace_s=bad)
        assert (await states(client))[process] == "running"


@pytest.mark.parametrize("mode", MODES)
async def test_a_signal_takes_its_process_with_all_children_and_nothing_beside_it(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode) as client:
        family = "setsid sleep 601 & (setsid setsid sleep 602 &) & sleep 603 & wait"
        first, second = [(await ok(client, "start_process", command=family, wait_s=0))["process_id"] for _ in range(2)]
        running = "grep -l 'sleep' /proc/[0-9]*/comm 2>/dev/null | wc -l"
        await ok(client, "read_output", process_id=second, wait_s=0)
        until = f"until [ $({running}) = 6 ]; do :; done; echo all"
        counted = await ok(client, "start_process", command=until, wait_s=20)
        assert counted["output"] == "all\n"
        ended = await ok(client, "signal_process", process_id=first, signal="KILL")
        assert (ended["state"], ended["left"]) == ("ended", 0)
        assert (await ok(client, "start_process", command=running, wait_s=30))["output"] == "3\n"
        assert await states(client) | {first: "ended", second: "running"} == await states(client)
        assert "has ended" in await refused(client, "signal_process", process_id=first)


@pytest.mark.parametrize("mode", MODES)
async def test_a_process_that_ended_is_no_name_for_the_next_one_with_its_number(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode) as client:
        old = [(await ok(client, "start_process", command="true", wait_s=30))["process_id"] for _ in range(20)]
        new = (await ok(client, "start_process", command="sleep 600", wait_s=0))["process_id"]
        for process in old:
            assert "ended" in await refused(client, "signal_process", process_id=process, signal="KILL")
        assert (await states(client))[new] == "running"


LEAVES = (
    "sleep 600 &",
    "setsid sleep 600 &",
    "(setsid setsid sleep 600 &) &",
    "(setsid sh -c 'sleep 600 & exec sleep 600' &) &",
    "(trap '' TERM INT HUP; exec sleep 600) &",
    "setsid sh -c \"trap '' TERM; sleep 600 & wait; exec sleep 600\" &",
    "env -i setsid sleep 600 &",
)
TREES, GONE_S = 20, 5.0


def tree(chance: random.Random, depth: int) -> str:
    """A shell line that starts many and waits for them: beside, below, behind and away from it."""
    words = [chance.choice(LEAVES) for _ in range(chance.randint(1, 3))]
    if depth:
        inner = tree(chance, depth - 1)
        words.append(chance.choice((f"( {inner} wait ) &", f"( ( {inner} wait ) & ) &")))
    return " ".join(words)


def families(processes: list[str]) -> dict[str, set[tuple[int, str]]]:
    """For each process of ours what of this machine carries its mark, and all that this has started: pid and birth."""
    marked: dict[str, set[int]] = {process: set() for process in processes}
    children: dict[int, set[int]] = {}
    births: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            environment = (path / "environ").read_bytes()
        except OSError:
            continue
        pid, births[int(path.name)] = int(path.name), fields[19]
        children.setdefault(int(fields[1]), set()).add(pid)
        for process in processes:
            if f"/{process}\0".encode() in environment:
                marked[process].add(pid)
    return {process: {(pid, births[pid]) for pid in below(pids, children)} for process, pids in marked.items()}


def below(pids: set[int], children: dict[int, set[int]]) -> set[int]:
    """These and all their descendants."""
    found, front = set(pids), set(pids)
    while front := set[int]().union(*(children.get(pid, set()) for pid in front)) - found:
        found |= front
    return found


def lives(pid: int, birth: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19] == birth
    except OSError:
        return False


@pytest.mark.slow
async def test_random_trees_are_gone_within_five_seconds_and_their_neighbours_are_not(tmp_path: Path) -> None:
    chance = random.Random(6)
    async with open_client(tmp_path, MODES[-1]) as client:
        lines = [f"{tree(chance, chance.randint(0, 3))} echo all; wait" for _ in range(TREES)]
        ids = [(await ok(client, "start_process", command=line, wait_s=0))["process_id"] for line in lines]
        for process in ids:
            await ok(client, "read_output", process_id=process, wait_for="pattern", pattern="all", wait_s=20)
        await anyio.sleep(0.5)  # until the shells in sessions of their own have started theirs
        before = families(ids)
        assert all(len(pids) >= 2 for pids in before.values())
        for number, process in enumerate(ids):
            signal: dict[str, Any] = {"signal": "KILL"} if number % 2 else {"signal": "TERM", "grace_s": 0.2}
            began_at = time.monotonic()
            ended = await ok(client, "signal_process", process_id=process, **signal)
            assert (ended["state"], ended["left"]) == ("ended", 0)
            assert not [pid for pid, birth in before[process] if lives(pid, birth)]
            assert time.monotonic() - began_at < GONE_S
            left = ids[number + 1 :]
            assert families(left) == {neighbour: before[neighbour] for neighbour in left}
