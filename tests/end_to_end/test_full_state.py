"""P12: a state directory that takes nothing any more fails what writes, not what reads, and heals without a restart."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from mcp.types import CallToolResult
from support.peers import Json, Peer, open_peer, text_of
from support.small_disk import fill, small_disk

from ws_mcp.core.host import sandbox

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed"),
]
FLAGS = ("--engine", "none", "--audit", "off")
CODE = "dev.ws-mcp/code"
FULL = "storage_full"
MAKES: tuple[str, Json] = ("provision_workspace", {"kind": "local", "name": "other"})
CHAT: tuple[str, Json] = ("provision_workspace", {"kind": "local", "chat": "new"})
KEYED: tuple[str, Json] = ("start_process", {"command": "true", "request_key": "k"})
WRITES: tuple[str, Json] = ("workspace_files", {"action": "write", "path": "x", "content": "y" * 100_000})


def code_of(result: CallToolResult) -> str:
    assert result.is_error, text_of(result)
    assert "Traceback" not in text_of(result)
    assert "\n" not in text_of(result)
    return str((result.meta or {})[CODE])


async def check_reads(peer: Peer, process: str) -> None:
    """Whatever is on the disk already can be looked at, and so can what runs."""
    assert list(await peer.workspaces()) == ["main"]
    assert (await peer.processes())[process]["state"] == "running"
    assert "ready" in (await peer.read(process)).output
    assert "kept" in text_of(await peer.call("workspace_files", action="read", path="note"))
    assert "note" in text_of(await peer.call("workspace_files", action="list", path=""))
    assert "main" in await peer.resource("ws://containers")
    # What needs nothing of the state works on: a process is in its execd.
    assert not (await peer.call("write_input", process_id=process, text="more\n")).is_error
    assert (await peer.ok("start_process", command="true"))["process_id"]


async def check_heals(peer: Peer, process: str) -> None:
    """With room again all works, in the same server; nothing half-made is in the way."""
    for tool, given in (MAKES, KEYED, WRITES):
        result = await peer.call(tool, **given)
        assert not result.is_error, (tool, text_of(result))
    assert set(await peer.workspaces()) == {"main", "other"}
    assert (await peer.processes())[process]["state"] == "running"
    await peer.ok("remove_workspace", name="*", keep_data=False)
    assert await peer.workspaces() == {}


async def begin(peer: Peer) -> str:
    await peer.ok("provision_workspace", kind="local")
    await peer.call("workspace_files", action="write", path="note", content="kept")
    return await peer.start("echo ready; exec cat", keep_stdin=True, wait_s=2)


@pytest.mark.slow
async def test_a_full_disk_fails_what_writes_and_heals_without_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with small_disk(state, mib=16), anyio.fail_after(100):
        async with open_peer(state, *FLAGS) as peer:
            process = await begin(peer)
            filler = fill(state)
            for tool, given in (MAKES, CHAT, KEYED):
                assert code_of(await peer.call(tool, **given)) == FULL, tool
            assert "space" in text_of(await peer.call(WRITES[0], **WRITES[1]))
            await check_reads(peer, process)
            assert list((state / "local").glob("*/workspace.json.*")) == []
            filler.unlink()
            await check_heals(peer, process)
        assert "Traceback" not in peer.log.read_text()
        assert "failed by a bug" not in peer.log.read_text()


@pytest.mark.slow
async def test_a_disk_that_becomes_read_only_fails_what_writes_and_heals_without_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with small_disk(state, mib=16), anyio.fail_after(100):
        async with open_peer(state, *FLAGS) as peer:
            process = await begin(peer)
            with read_only(state):
                for tool, given in (MAKES, CHAT):
                    assert code_of(await peer.call(tool, **given)) == FULL, tool
                await check_reads_of_processes(peer, process)
            await check_heals(peer, process)
        assert "Traceback" not in peer.log.read_text()


async def check_reads_of_processes(peer: Peer, process: str) -> None:
    assert list(await peer.workspaces()) == ["main"]
    assert (await peer.processes())[process]["state"] == "running"
    assert "ready" in (await peer.read(process)).output


@contextmanager
def read_only(directory: Path) -> Generator[None]:
    """The file system there takes nothing, as after an error of its disk."""
    # Nobody can be made to give up a file that is open for writing: a second mount that is read-only lies over it.
    again = ("mount", "--bind", str(directory), str(directory))
    subprocess.run(again, check=True, capture_output=True)
    subprocess.run(("mount", "-o", "remount,bind,ro", str(directory)), check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(directory)), check=True, capture_output=True)
