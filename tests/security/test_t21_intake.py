"""T21, from the other side: who is refused puts nothing into memory, and what it gave is written nowhere."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.audit_ground import INSTANCE_KEY, lines_of
from support.denials import open_server
from support.edge_client import MODES, ok, open_client, refused
from support.fake_core import FakeCore
from support.peers import open_peer, text_of
from support.policies import everything, in_force, written

from ws_mcp.core.audit.journal import open_journal
from ws_mcp.core.audit.review import files_of
from ws_mcp.core.errors import LimitError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.acts import Act
from ws_mcp.core.redaction import MAX_GIVEN, SECRETS
from ws_mcp.edge.gate import Guards

MALLORY = PrincipalId("mallory")
VARIABLES = 128


def secrets(count: int = VARIABLES) -> dict[str, str]:
    return {f"API_TOKEN_{number}": f"canary-{os.urandom(12).hex()}" for number in range(count)}


def is_known(value: str) -> bool:
    return SECRETS.clean(f"x {value} y") == "x [redacted] y"


@pytest.mark.parametrize("mode", MODES)
async def test_who_has_no_grant_fills_no_memory(mode: str) -> None:
    given = secrets()
    async with open_server(in_force(everything("alice")), mode, principal=MALLORY) as server:
        await server.denied("start_process", "no grant", command="x", env=given)
        await server.denied("provision_workspace", "no grant", options={"secrets": dict(list(given.items())[:64])})
    assert not any(map(is_known, given.values()))


@pytest.mark.parametrize("mode", MODES)
async def test_nor_does_who_calls_wrongly_or_too_often(mode: str) -> None:
    given = secrets()

    def admit(act: Act) -> AbstractContextManager[None]:
        if act.verb == "initialize":
            return nullcontext()
        raise LimitError("too many calls")

    async with open_client(FakeCore(), mode, guards=Guards(admit=admit)) as client:
        assert await refused(client, "start_process", command="x", env=given) == "too many calls"
        await refused(client, "start_process", command="x", env=given, nonsense=1)
        await refused(client, "start_process", command="x", env={**given, "one": "more"})
    assert not any(map(is_known, given.values()))


@pytest.mark.parametrize("mode", MODES)
async def test_who_is_let_in_pushes_out_nothing_of_others(mode: str) -> None:
    mine, more = secrets(1), [secrets() for _ in range(MAX_GIVEN // VARIABLES + 1)]
    guards = Guards(decide=in_force(everything("alice"), everything("mallory")).decide)
    core = FakeCore()
    async with open_client(core, mode, guards=guards, principal=PrincipalId("alice")) as client:
        await ok(client, "provision_workspace", env=mine)
    async with open_client(core, mode, guards=guards, principal=MALLORY) as client:
        for each in more:
            await ok(client, "provision_workspace", env=each)
    assert is_known(*mine.values())
    assert all(map(is_known, more[-1].values()))
    assert not any(map(is_known, more[0].values()))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("principal", ["alice", "mallory"])
async def test_the_audit_does_not_repeat_what_the_very_call_gave(
    principal: str, mode: str, tmp_path: Path, real_io: None
) -> None:
    (secret,) = secrets(1).values()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("provision_workspace", {"name": secret, "image": f"x/{secret}:1", "env": {"API_TOKEN": secret}}),
        ("provision_workspace", {"options": {"secrets": {"a": secret}, "folder": f"/srv/{secret}"}}),
        ("start_process", {"command": "x", "workspace": secret[:20], "env": {"API_TOKEN": secret}}),
    ]
    async with open_journal(tmp_path, INSTANCE_KEY, clean=SECRETS.clean) as journal:
        guards = Guards(decide=in_force(everything("alice")).decide, journal=journal)
        async with open_client(FakeCore(), mode, guards=guards, principal=PrincipalId(principal)) as client:
            for tool, arguments in calls:
                await client.call_tool(tool, arguments)
    lines = str(lines_of(tmp_path))
    assert lines.count("[redacted]") == 4
    assert secret[:20] not in lines


@pytest.mark.parametrize("mode", MODES)
async def test_a_real_server_at_debug_writes_nothing_of_calls_that_it_refused(
    mode: str, tmp_path: Path, real_io: None
) -> None:
    policy = written(tmp_path / "policy.toml", '[[grant]]\nprincipal = "nobody-here"\ntools = ["list_*"]\n')
    state = tmp_path / "state"
    flags = ("--engine", "none", "--audit", "on", "--log-level", "debug", "--log-format", "json")
    given = secrets(4)
    (first, *_) = given.values()
    calls: list[dict[str, Any]] = [
        {"env": given, "command": "x", "cwd": f"/{first}"},
        {"env": given, "command": 5},
        {"env": given, "command": "x", "nonsense": first},
        {"env": {**given, "x": first + "\0"}, "command": "x"},
        {"env": secrets(200) | given, "command": "x"},
        {"env": given, "command": "x", "workspace": first},
    ]
    with anyio.fail_after(60):
        async with open_peer(state, *flags, "--policy", str(policy), mode=mode) as peer:
            for arguments in calls:
                result = await peer.call("start_process", **arguments)
                assert result.is_error
                assert first not in text_of(result)
            log = peer.log.read_text()
    audit = "".join(file.read_text() for file in files_of(state))
    assert '"start_process"' in audit
    assert '"deny"' in audit
    assert log
    assert [value for value in given.values() if value[:20] in log + audit] == []
