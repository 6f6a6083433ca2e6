"""T21 and T39 on a disk that is really full: nothing is given away, nothing is changed that cannot be written down."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from support.canaries import (
    FAILURES,
    INPUT,
    VARIABLE,
    command_lines,
    fail,
    files,
    hits,
    open_files_of,
    provision,
    start,
)
from support.peers import Json, Peer, open_peer, text_of
from support.small_disk import fill, small_disk

from ws_mcp.core.audit.review import entries_of, files_of
from ws_mcp.core.host import sandbox

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed"),
]
DISK_MIB = 6
TRACED = Path(__file__).parents[1] / "support" / "traced"
UNWRITTEN = "the audit log cannot be written (No space left on device), so nothing was done"


MUTATIONS: list[tuple[str, Json]] = [
    ("provision_workspace", {"kind": "local", "name": "other", "env": {"API_TOKEN": VARIABLE}}),
    provision(),
    start(),
    files(path="x"),
    ("stop_workspace", {"name": "main"}),
    ("remove_workspace", {"name": "main", "keep_data": False}),
]


async def use_up(peer: Peer) -> None:
    """Until the room is used up that the audit made for itself while there was some."""
    for _ in range(1000):
        if UNWRITTEN in text_of(await peer.call("signal_process", process_id="p_zzzzzzzz")):
            return
    raise AssertionError("the audit can still be written")


async def answers(peer: Peer, process: str) -> list[str]:
    """What is said to every call that would change something."""
    writing: tuple[str, Json] = ("write_input", {"process_id": process, "text": INPUT})
    return [text_of(await peer.call(tool, **given)) for tool, given in (writing, *MUTATIONS)]


@pytest.mark.parametrize("audit", ["on", "off"])
async def test_no_canary_is_anywhere_when_the_disk_of_the_state_is_full_and_room_heals_it(
    audit: str, tmp_path: Path
) -> None:
    spans, state = tmp_path / "spans", tmp_path / "state"
    environment = {
        "PYTHONPATH": os.pathsep.join((str(TRACED), os.environ.get("PYTHONPATH", ""))),
        "SPANS_FILE": str(spans),
    }
    flags = ("--engine", "none", "--audit", audit, "--log-level", "debug", "--log-format", "json")
    said: list[object] = []
    with small_disk(state, mib=DISK_MIB), anyio.fail_after(100):
        async with open_peer(state, *flags, environment=environment, is_fresh=True) as peer:
            await peer.ok("provision_workspace", kind="local", env={"API_TOKEN": VARIABLE})
            process = await peer.start("cat", keep_stdin=True, wait_s=0)
            filler = fill(state)
            if audit == "on":
                await use_up(peer)
            changes = await answers(peer, process)
            assert audit == "off" or [text for text in changes if UNWRITTEN not in text] == []
            assert any("No space left on device" in text for text in changes)
            said += changes
            assert len(FAILURES) >= 40
            said += await fail(peer)
            # Looking goes on.
            said += [await peer.workspaces(), await peer.processes(), await peer.resource("ws://containers")]
            shown = [command_lines(), open_files_of(state)]
            filler.unlink()
            await peer.ok("provision_workspace", kind="local", name="later")
            await peer.start("cat", workspace="later", wait_s=0)
            await peer.ok("remove_workspace", name="*", keep_data=False)
        entries = [entry.fields for file in files_of(state) for entry in entries_of(file)]
        sealed = "".join(file.read_text() for file in files_of(state))
    found = {
        "answers": str(said),
        "stderr": peer.log.read_text(),
        "spans": spans.read_text(),
        "audit": sealed,
        "command lines": shown[0],
        "state files": shown[1],
    }
    assert [hit for where, text in found.items() for hit in hits(where, text)] == []
    assert any(entry["kind"] == "gap" for entry in entries) is (audit == "on")
