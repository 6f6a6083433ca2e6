"""T39: what cannot be written down is not done, and what was written down cannot be changed unseen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from support.audit_ground import INSTANCE_KEY, full_disk, lines_of
from support.edge_client import MODES, ok, open_client, refused, resource
from support.fake_core import FakeCore, FakeProcess
from support.http_ground import (
    HELLO,
    VERSIONS,
    Reply,
    ask,
    modern,
    modern_headers,
    open_http_ground,
    record_for,
    token_for,
)
from support.memory_journal import MemoryJournal

from ws_mcp.cli import run
from ws_mcp.core.audit.chain import chain_key
from ws_mcp.core.audit.file import AuditFile, prepared
from ws_mcp.core.audit.journal import AuditJournal, open_journal
from ws_mcp.core.audit.review import files_of
from ws_mcp.core.clock import utc_now
from ws_mcp.core.policy.acts import Act, Verdict
from ws_mcp.core.state import open_state
from ws_mcp.edge.guards import Guards

pytestmark = pytest.mark.usefixtures("real_io")
MUTATIONS: tuple[tuple[str, dict[str, object]], ...] = (
    ("provision_workspace", {"name": "other"}),
    ("start_process", {"command": "true"}),
    ("remove_workspace", {"name": "main"}),
    ("stop_workspace", {"name": "main"}),
    ("workspace_files", {"action": "write", "path": "/workspace/x", "content": "x"}),
    ("recreate_devcontainer", {"name": "app"}),
)


def journal_in(state: Path) -> AbstractAsyncContextManager[AuditJournal]:
    return open_journal(state, INSTANCE_KEY, clean=str)


async def names_of(client: Client) -> list[object]:
    return [each["name"] for each in (await ok(client, "list_containers"))["workspaces"]]


@pytest.mark.parametrize("mode", MODES)
async def test_on_a_full_disk_every_mutation_is_refused_and_reading_goes_on(mode: str, tmp_path: Path) -> None:
    core = FakeCore()
    async with journal_in(tmp_path) as journal, open_client(core, mode, guards=Guards(journal=journal)) as client:
        await ok(client, "provision_workspace")
        before = lines_of(tmp_path)
        with full_disk():
            for tool, arguments in MUTATIONS:
                text = await refused(client, tool, **arguments)
                assert text.startswith("the audit log cannot be written (File too large), so nothing was done"), tool
            assert await names_of(client) == ["main"]
            assert (await ok(client, "list_processes"))["processes"] == []
            assert "main" in await resource(client, "ws://containers")
        assert lines_of(tmp_path) == before
        await ok(client, "provision_workspace", name="other")
        assert await names_of(client) == ["main", "other"]
    assert [line["missed"] for line in lines_of(tmp_path) if line["kind"] == "gap"] == [len(MUTATIONS) + 3]


@pytest.mark.parametrize("mode", MODES)
async def test_a_refusal_is_written_down_as_one_and_has_no_effect(mode: str, tmp_path: Path) -> None:
    def only_reads(act: Act) -> Verdict:
        return Verdict(is_allowed=act.is_read_only, rule="read_only", reason="this server is for reading only")

    core = FakeCore()
    async with (
        journal_in(tmp_path) as journal,
        open_client(core, mode, guards=Guards(decide=only_reads, journal=journal)) as client,
    ):
        for tool, arguments in MUTATIONS:
            assert await refused(client, tool, **arguments) == "this server is for reading only"
        assert await names_of(client) == []
    lines = [line for line in lines_of(tmp_path) if line.get("verb") != "list_containers"]
    intents = [line for line in lines if line["kind"] == "intent"]
    assert [(line["verb"], line["decision"], line["rule"]) for line in intents] == [
        (tool, "deny", "read_only") for tool, _ in MUTATIONS
    ]
    denied = [line for line in lines if line.get("outcome") == "denied"]
    assert [line["of"] for line in denied] == [line["seq"] for line in intents]


@pytest.mark.parametrize("mode", MODES)
async def test_the_intent_is_on_the_disk_before_the_effect_and_the_outcome_names_what_was_made(
    mode: str, tmp_path: Path
) -> None:
    seen: list[dict[str, object]] = []

    def look_and_end(process: FakeProcess) -> None:
        seen.extend(lines_of(tmp_path))
        process.end()

    core = FakeCore(script=look_and_end)
    async with journal_in(tmp_path) as journal, open_client(core, mode, guards=Guards(journal=journal)) as client:
        await ok(client, "provision_workspace")
        started = await ok(client, "start_process", command="echo secret-in-a-command")
    assert [(line["kind"], line.get("verb")) for line in seen][-1] == ("intent", "start_process")
    (outcome,) = (line for line in lines_of(tmp_path) if line.get("of") == seen[-1]["seq"])
    assert (outcome["outcome"], outcome["made"]) == ("ok", {"process_id": started["process_id"]})
    assert "secret-in-a-command" not in "".join(file.read_text() for file in files_of(tmp_path))


MALFORMED: tuple[dict[str, object], ...] = (
    {},
    {"name": 7, "arguments": {}},
    {"name": "start_process", "arguments": ["private"]},
    {"name": "start_process", "arguments": "private"},
    {"name": ["start_process"]},
    {"name": "private", "arguments": {}},
    {"name": "start_process", "arguments": {"command": "true", "no_such": "private"}},
    {"name": "start_process"},
)


async def test_calls_that_are_none_leave_a_line_each_in_both_eras(tmp_path: Path) -> None:
    journal = MemoryJournal()
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice"), journal=journal) as ground:

            async def told(message: object, **headers: str) -> Reply:
                return await anyio.to_thread.run_sync(
                    partial(ask, ground.url, message, token=token_for("alice"), **headers)
                )

            session = {
                "Mcp-Session-Id": (await told(HELLO)).headers["mcp-session-id"],
                "MCP-Protocol-Version": VERSIONS["legacy"],
            }
            await told({"jsonrpc": "2.0", "method": "notifications/initialized"}, **session)
            for params in MALFORMED:
                for message, headers in (
                    (modern("tools/call", **params), modern_headers("tools/call", str(params.get("name", "")))),
                    ({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}, session),
                ):
                    before = len(journal.outcomes)
                    reply = await told(message, **headers)
                    assert reply.status == 400 or b'"error"' in reply.body or b'"isError":true' in reply.body
                    # What is refused for its headers was no call yet.
                    assert reply.status == 400 or journal.outcomes[before:] == [
                        (journal.acts[-1], "denied", "arguments")
                    ]
            assert journal.acts.count("tools/call") >= 6
            assert journal.acts.count("start_process") == 4
            assert "private" not in repr(journal.lines)
            assert ground.core.specs == []
            assert (await told(modern("tools/list"), **modern_headers("tools/list"))).status == 200


def edited(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"v1", b"v9"), *lines[3:]]


def removed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], *lines[3:]]


def reordered(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


@pytest.mark.parametrize("damage", [edited, removed, reordered])
def test_verify_names_the_line_that_was_touched(
    damage: Callable[[list[bytes]], list[bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    anyio.run(_fill, state)
    assert run(["audit", "verify", "--state", str(state)]) == 0
    assert "6 lines, whole" in capsys.readouterr().out
    (file,) = files_of(state)
    file.write_bytes(b"".join(damage(file.read_bytes().splitlines(keepends=True))))
    assert run(["audit", "verify", "--state", str(state)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("bad ")
    assert "damaged: line 3 was changed, moved, or follows one that was removed" in said


async def _fill(state: Path) -> None:
    async with open_state(state) as opened:
        file = AuditFile(prepared(state), chain_key(opened.instance.key), utc_now)
        for number in range(4):
            file.append({"kind": "intent", "verb": f"v{number}"})
        file.close()
