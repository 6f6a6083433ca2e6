"""An execd on the host that is killed where there is no sandbox: what it ran ends with its workspace, at the latest."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import pytest
from support.peers import Peer, ended, open_peer

MARK = b"WSMCP_PROCESS="


def marked(place: str) -> dict[int, bytes]:
    """The processes of a place, by pid, with their command lines."""
    found: dict[int, bytes] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if MARK + place.encode() + b"/" in (path / "environ").read_bytes():
                found[int(path.name)] = (path / "cmdline").read_bytes()
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line}


async def killed(peer: Peer, state: Path) -> str:
    """Have a process with a child in a session of its own, and end its execd; returns its place."""
    await peer.ok("provision_workspace", kind="local")
    await peer.start("setsid sleep 600 & exec sleep 600", wait_s=0)
    (place,) = [path.name for path in (state / "local").iterdir()]
    while len(marked(place)) < 2:  # noqa: ASYNC110 - nobody tells
        await anyio.sleep(0.02)
    execd = int((state / "local" / place / "pid").read_text().split()[0])
    os.kill(execd, signal.SIGKILL)
    await ended(execd)
    return place


@pytest.mark.usefixtures("real_io")
@pytest.mark.parametrize("act", ["provision_workspace", "stop_workspace", "remove_workspace"])
async def test_what_a_killed_execd_left_ends_with_its_workspace(tmp_path: Path, act: str) -> None:
    flags = ("--allow-host-processes", "--engine", "none")
    tools = tmp_path / "tools"
    tools.mkdir()
    with anyio.fail_after(60):
        async with open_peer(tmp_path / "state", *flags, environment={"PATH": str(tools)}) as peer:
            place = await killed(peer, tmp_path / "state")
            try:
                arguments = {"kind": "local"} if act == "provision_workspace" else {"name": "main"}
                await peer.ok(act, **arguments)
                assert marked(place) == {}
            finally:
                await peer.call("remove_workspace", name="main", keep_data=False)
                for pid in marked(place):
                    os.kill(pid, signal.SIGKILL)
