"""T21: what was given in confidence is nowhere but where it belongs, whatever succeeds or fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest
from mcp import MCPError
from support.canaries import (
    CONTENT,
    FAILURES,
    INPUT,
    OWN,
    SECRET,
    TEMPLATE,
    VARIABLE,
    command_lines,
    fail,
    hits,
    open_files_of,
    provision,
)
from support.edge_client import MODES, call, open_client, refused
from support.fake_core import FakeCore
from support.instances import Instance
from support.peers import Peer

from ws_mcp.core.audit.review import entries_of, files_of
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import Scope
from ws_mcp.core.redaction import SECRETS
from ws_mcp.core.workspaces.model import Ask, Pending, Provisioned, WorkspaceSpec
from ws_mcp.edge.core_port import Report
from ws_mcp.logs import JsonLines, TextLines

TRACED = Path(__file__).parents[1] / "support" / "traced"


async def succeed(peer: Peer) -> list[object]:
    """Every way in which a secret is taken."""
    tool, given = provision({"template": "py"})
    said: list[object] = [await peer.ok(tool, **given)]
    process = await peer.start("cat > /dev/null", keep_stdin=True, wait_s=0, env={"API_TOKEN": VARIABLE})
    said.append(await peer.ok("write_input", process_id=process, text=INPUT, enter=True, close=True))
    said.append(await peer.ok("workspace_files", action="write", path="/workspace/x", content=CONTENT))
    said.append(await peer.ok(tool, **given))
    said += [await peer.workspaces(), await peer.processes()]
    return [*said, await peer.resource("ws://containers")]


async def use_handle(peer: Peer) -> str:
    """A chat's handle is as good as a password of it: wherever a call can carry one, it does."""
    handle = str((await peer.ok("provision_workspace"))["chat"])
    await peer.ok("list_processes", chat=handle)
    await peer.resource(f"ws://chats/{handle}/processes")
    with pytest.raises(MCPError):
        await peer.resource(f"ws://chats/{handle}/processes/p_unknown1/output")
    with pytest.raises(MCPError):
        await peer.resource(f"ws://chats/{handle[:-1]}_/processes")
    return handle


async def test_no_canary_is_anywhere_after_every_success_and_forty_failures(instance: Instance, tmp_path: Path) -> None:
    spans = tmp_path / "spans"
    environment = {
        "PYTHONPATH": os.pathsep.join((str(TRACED), os.environ.get("PYTHONPATH", ""))),
        "SPANS_FILE": str(spans),
        "DEPLOY_TOKEN": OWN,
    }
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "config").write_text(TEMPLATE)
    flags = ("--template", f"py={templates}", "--audit", "on", "--log-level", "debug", "--log-format", "json")
    assert len(FAILURES) >= 40
    with anyio.fail_after(100):
        async with instance.open_peer(*flags, environment=environment, is_fresh=True) as peer:
            said = [*await succeed(peer), *await fail(peer)]
            handle = await use_handle(peer)
            lines = command_lines()
            assert not (await peer.call("list_containers")).is_error
        log = peer.log.read_text()
    audit = [entry.fields for file in files_of(instance.state) for entry in entries_of(file)]
    found = {
        "stdout": str(said),
        "stderr": log,
        "audit": "".join(file.read_text() for file in files_of(instance.state)),
        "spans": spans.read_text(),
        "command lines": lines,
        "state files": open_files_of(instance.state),
    }
    assert [hit for where, text in found.items() for hit in hits(where, text)] == []
    found.pop("stdout")
    assert [where for where, text in found.items() if handle[:-1] in text] == []
    assert all(json.loads(line)["level"] for line in log.splitlines() if line.startswith("{"))
    # Each place was looked at while there was something in it.
    assert {"engine list", "execd start", "tools/call start_process"} <= {
        json.loads(line)["name"] for line in spans.read_text().splitlines()
    }
    outcomes = [line["outcome"] for line in audit if line["kind"] == "outcome"]
    assert {"ok", "failed"} <= set(outcomes)
    assert "ws_mcp" in lines


class Leaky(FakeCore):
    """A core that repeats what it was given, in an error and in a bug."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned | Pending:
        raise self._error


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_that_repeats_a_secret_is_cleaned_of_the_callers_own_and_no_others(mode: str) -> None:
    SECRETS.add("somebody-elses-secret")
    core = Leaky(InvalidArgumentError(f"cannot use {SECRET[:20]} or {SECRET!r}; somebody-elses-secret"))
    async with open_client(core, mode) as client:
        text = await refused(client, "provision_workspace", options={"secrets": {"token": SECRET}})
    # What others gave must not be looked for in what this caller reads: it could try guesses.
    assert text == "cannot use [redacted] or '[redacted]'; somebody-elses-secret"


@pytest.mark.parametrize("mode", MODES)
async def test_a_bug_that_repeats_a_secret_is_logged_without_it(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_client(Leaky(ValueError(f"{SECRET} and {VARIABLE}")), mode) as client:
        text = await refused(
            client, "provision_workspace", options={"secrets": {"token": SECRET}}, env={"API_TOKEN": VARIABLE}
        )
        assert not (await call(client, "list_containers")).is_error
    (record,) = (record for record in caplog.records if record.exc_info)
    lines = [form(SECRETS).format(record) for form in (TextLines, JsonLines)]
    assert hits("the log", "".join((*lines, text))) == []
    assert all("ValueError: [redacted] and [redacted]" in line for line in lines)
