"""A real server under its operator's eyes: metrics, health, the audit, and what each says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.streams.text import TextReceiveStream
from support.peers import MODES, Peer, open_peer, server_argv, server_environment
from support.server_process import open_http

from ws_mcp.cli import run
from ws_mcp.core.audit.review import entries_of, files_of

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]
JUST_SO = ("ws_mcp_processes", "ws_mcp_calls_in_flight", "ws_mcp_loop_lag_seconds", "ws_mcp_resident_bytes")


@asynccontextmanager
async def open_watched(tmp_path: Path, *flags: str, mode: str = "auto") -> AsyncGenerator[Peer]:
    wanted = ("--engine", "none", "--metrics", f"unix:{tmp_path}/m", *flags)
    async with open_peer(tmp_path / "state", *wanted, mode=mode) as peer:
        yield peer


async def page(tmp_path: Path, path: str) -> tuple[int, str]:
    with anyio.fail_after(30):
        async with await anyio.connect_unix(tmp_path / "m") as stream:
            await stream.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = b""
            try:
                while True:
                    received += await stream.receive()
            except anyio.EndOfStream:
                head, _, body = received.decode().partition("\r\n\r\n")
                return int(head.split(" ")[1]), body


@pytest.mark.parametrize("mode", MODES)
async def test_what_goes_on_is_counted_without_names_of_anybody(mode: str, tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_watched(tmp_path, "--audit", "on", mode=mode) as peer:
            made = await peer.ok("provision_workspace")
            process = await peer.start("sleep 60", wait_s=0)
            await peer.refused("read_output", process_id="p_unknown1")
            status, text = await page(tmp_path, "/metrics")
            assert (await page(tmp_path, "/livez"), await page(tmp_path, "/readyz")) == (
                (200, "ok\n"),
                (200, "ready\n"),
            )
    lines = text.splitlines()
    assert status == 200
    assert 'ws_mcp_calls_total{tool="start_process",outcome="ok"} 1' in lines
    assert 'ws_mcp_calls_total{tool="read_output",outcome="failed"} 1' in lines
    assert 'ws_mcp_call_seconds_count{tool="start_process"} 1' in lines
    assert 'ws_mcp_processes{state="running"} 1' in lines
    assert 'ws_mcp_execd_calls_total{op="start",outcome="ok"} 1' in lines
    assert "ws_mcp_audit_write_errors 0" in lines
    assert all(any(line.startswith(name) for line in lines) for name in JUST_SO)
    assert str(made["chat"]) not in text
    assert process not in text


async def test_a_server_whose_audit_cannot_be_written_is_not_ready(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_watched(tmp_path, "--audit", "on") as peer:
            await peer.ok("list_containers")
            shutil.rmtree(tmp_path / "state" / "audit")
            assert await page(tmp_path, "/readyz") == (
                503,
                "the audit log cannot be written: No such file or directory\n",
            )


async def test_nothing_is_written_down_over_stdio_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with open_watched(tmp_path) as peer:
        await peer.ok("list_containers")
    assert not (tmp_path / "state" / "audit").exists()


async def test_over_http_everything_is_written_down_unless_it_is_switched_off(tmp_path: Path) -> None:
    for flags, kinds in (((), ["open", "intent", "outcome", "close"]), (("--audit", "off"), [])):
        state = tmp_path / f"state{len(flags)}"
        with anyio.fail_after(60), open_http(state, "--engine", "none", *flags) as server:
            async with server.client() as client:
                await client.call_tool("provision_workspace", {"chat": "new", "tier": 9})
            server.child.terminate()
            await anyio.to_thread.run_sync(server.child.wait)
        entries = [entry.fields for file in files_of(state) for entry in entries_of(file)]
        assert [entry["kind"] for entry in entries] == kinds
        assert [entry["via"] for entry in entries if "via" in entry] == ["http"] * len(kinds[:1])


async def test_servers_side_by_side_have_a_file_each_and_a_person_reads_them_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    flags = ("--engine", "none", "--audit", "on")
    with anyio.fail_after(60):
        async with open_peer(state, *flags) as one, open_peer(state, *flags) as other:
            await one.ok("provision_workspace", name="x")
            await other.refused("read_output", process_id="p_unknown1")
            assert len(files_of(state)) == 2
            assert {file.stat().st_mode & 0o777 for file in (state / "audit", *files_of(state))} == {0o700, 0o600}
    arguments = ["--state", str(state)]
    assert await anyio.to_thread.run_sync(run, ["audit", "verify", *arguments]) == 0
    assert capsys.readouterr().out.count("ok  ") == 2
    assert await anyio.to_thread.run_sync(run, ["audit", "tail", *arguments]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert f"local:{os.getuid()} " in said
    assert re.search(r"provision_workspace name=x .*allow \(no policy\)", said)
    assert "  provision_workspace: ok in " in said
    assert "  read_output: failed in " in said
    assert await anyio.to_thread.run_sync(run, ["audit", "export", *arguments]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["open", "intent", "outcome", "close"] * 2


async def test_lines_are_exported_as_they_come(tmp_path: Path) -> None:
    state = tmp_path / "state"
    argv = server_argv("audit", state)
    with anyio.fail_after(60):
        async with await anyio.open_process([*argv[:4], "export", "-f", *argv[4:]], env=server_environment()) as child:
            assert child.stdout is not None
            received = TextReceiveStream(child.stdout)
            async with open_peer(state, "--engine", "none", "--audit", "on") as peer:
                await peer.ok("list_containers")
                said = ""
                while said.count("\n") < 3:
                    said += await received.receive()
            child.kill()
    assert [json.loads(line)["kind"] for line in said.splitlines()] == ["open", "intent", "outcome"]


@pytest.mark.parametrize("act", ["tail", "verify"])
def test_where_nothing_was_written_down_that_is_said(
    act: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", act, "--state", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out.startswith("Nothing was written down")


async def test_a_policy_says_how_much_may_be_asked_and_whether_it_is_written_down(tmp_path: Path) -> None:
    grant = f'[[grant]]\nprincipal = "local:{os.getuid()}"\ntools = ["*"]\nlocal = true\n'
    for audit, files in (("", 1), ("audit = false\n", 0)):
        state = tmp_path / f"state{files}"
        policy = tmp_path / f"policy{files}.toml"
        policy.write_text(f"{audit}[limits]\ncalls_burst = 2\ncalls_per_s = 0.001\n{grant}")
        policy.chmod(0o600)
        with anyio.fail_after(60):
            async with open_peer(state, "--engine", "none", "--policy", str(policy)) as peer:
                await peer.ok("list_processes")
                await peer.ok("list_processes")
                assert "`calls_per_s` is 0.001" in await peer.refused("list_processes")
        assert len(files_of(state)) == files
