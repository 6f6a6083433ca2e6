"""A policy file that is changed while a server runs: what it says counts from HUP on, the whole of it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from support.http_ground import HELLO, modern, modern_headers
from support.peers import MODES, Peer, open_peer
from support.policies import written
from support.server_process import open_http

from ws_mcp.core.audit.review import entries_of, files_of

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]
GRANT = f'[[grant]]\nprincipal = "local:{os.getuid()}"\ntools = ["*"]\nlocal = true\n'


class Operator:
    """Who changes the file of a running server and tells it so."""

    def __init__(self, file: Path, peer: Peer) -> None:
        self.file = file
        self.peer = peer

    async def says(self, text: str) -> str:
        """Change the file; returns what the server logged of it."""
        before = len(self.peer.log.read_text())
        written(self.file, text)
        self.peer.signal(signal.SIGHUP)
        while "the policy" not in (said := self.peer.log.read_text()[before:]):
            await self.peer.client.list_tools()  # a round trip is all the waiting that there is
        return said


def acts(state: Path) -> list[object]:
    """What the audit has, of whoever."""
    entries = [entry.fields for file in files_of(state) for entry in entries_of(file)]
    return [entry["verb"] for entry in entries if entry["kind"] == "intent"]


@pytest.mark.parametrize("mode", MODES)
async def test_limits_and_whether_a_person_is_asked_change_with_the_file(mode: str, tmp_path: Path) -> None:
    file = written(tmp_path / "policy.toml", GRANT)
    with anyio.fail_after(60):
        async with open_peer(tmp_path / "state", "--engine", "none", "--policy", str(file), mode=mode) as peer:
            operator = Operator(file, peer)
            for _ in range(3):
                await peer.ok("list_processes")
            said = await operator.says("[limits]\ncalls_burst = 1\ncalls_per_s = 0.001\n" + GRANT)
            assert "the policy was read again and counts from now on" in said
            await peer.ok("list_processes")
            assert "`calls_per_s` is 0.001 for one chat (1 after a pause)" in await peer.refused("list_processes")
            await operator.says("[limits]\nall_workspaces = 1\ncalls_per_s = 1000.0\n" + GRANT)
            await peer.ok("provision_workspace", name="one")
            assert "`all_workspaces` is 1" in await peer.refused("provision_workspace", name="two")
            await operator.says('confirm = "always"\n' + GRANT)
            await peer.ok("provision_workspace", name="two")
            assert "your client cannot ask" in await peer.refused("remove_workspace", name="one", keep_data=False)
            await operator.says("[limits]\ncalls_burst = 0\n" + GRANT)
            assert "your client cannot ask" in await peer.refused("remove_workspace", name="one", keep_data=False)
            await operator.says(GRANT)
            await peer.ok("remove_workspace", name="one", keep_data=False)


async def test_the_audit_begins_and_ends_with_the_file(tmp_path: Path) -> None:
    state, file = tmp_path / "state", written(tmp_path / "policy.toml", "audit = false\n" + GRANT)
    with anyio.fail_after(60):
        async with open_peer(state, "--engine", "none", "--policy", str(file)) as peer:
            operator = Operator(file, peer)
            await peer.ok("list_processes")
            assert files_of(state) == []
            await operator.says("audit = true\n" + GRANT)
            await peer.ok("list_containers")
            await operator.says("audit = false\n" + GRANT)
            await peer.ok("list_processes")
            await operator.says(GRANT)
            await peer.refused("read_output", process_id="p_unknown1")
    assert acts(state) == ["list_containers", "read_output"]


async def test_streams_over_http_are_the_policys_in_both_eras(tmp_path: Path) -> None:
    grant = '[[grant]]\nprincipal = "operator"\ntools = ["*"]\n'
    file = written(tmp_path / "policy.toml", "[limits]\nstreams = 1\n" + grant)
    with anyio.fail_after(60), open_http(tmp_path / "state", "--engine", "none", "--policy", str(file)) as server:
        headers = {"Authorization": f"Bearer {server.token}", "Accept": "application/json, text/event-stream"}
        async with httpx2.AsyncClient(timeout=30, headers=headers) as client, AsyncExitStack() as stack:
            assert await stack.enter_async_context(old_stream(client, server.url)) == 200
            refused = await client.post(
                server.url,
                json=modern("subscriptions/listen", notifications={"toolsListChanged": True}),
                headers=modern_headers("subscriptions/listen"),
            )
            assert (refused.status_code, "the limit `streams` is 1" in refused.text) == (429, True)
            written(file, "[limits]\nstreams = 2\n" + grant)
            server.child.send_signal(signal.SIGHUP)
            while True:  # a signal is not answered
                async with old_stream(client, server.url) as status:
                    if status == 200:
                        break


@asynccontextmanager
async def old_stream(client: httpx2.AsyncClient, url: str) -> AsyncGenerator[int]:
    """Open one of the older era in a session of its own; what is yielded is the status of the answer."""
    hello = await client.post(url, json=HELLO)
    session = {"Mcp-Session-Id": hello.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    async with client.stream("GET", url, headers=session) as answer:
        yield answer.status_code
    await client.delete(url, headers=session)
