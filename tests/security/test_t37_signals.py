"""T37: a signal goes to a process of the own chat, has one of seven names, and reaches nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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
