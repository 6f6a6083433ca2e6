"""Fuzzing of what tools are called with, from our own schemas, in both eras: an answer, never a failure inside.

And nothing that the policy forbids reaches the core.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from support.edge_client import ALICE, MODES, call, open_client, text_of
from support.fake_core import DEV, FakeCore
from support.fuzzing import arguments_for, chances, mutated_value, schemas, told
from support.policies import everything, in_force

from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.edge.guards import Guards

SCHEMAS = schemas()
WIDE = in_force(everything(ALICE))
NARROW = in_force(
    replace(everything(ALICE), max_tier=1, images=("debian:13",), has_local=False, roots=(), tools=("provision_*",))
)
READING = in_force(everything(ALICE), is_read_only=True)


async def _fuzz(policy: PolicyInForce, mode: str, short: int) -> FakeCore:
    core = FakeCore(script=lambda process: process.end())
    core.rules_of = policy.rules_of
    core.devcontainers.there[DEV.name] = DEV
    guards = Guards(decide=policy.decide, transport="stdio")
    async with open_client(core, mode, guards=guards) as client:
        for name, chance in chances(short):
            tool = chance.choice([*sorted(SCHEMAS), "provision_workspace", "start_process"])
            arguments = arguments_for(chance, SCHEMAS[tool])
            if chance.random() < 0.6:
                arguments = mutated_value(chance, arguments)
            if isinstance(arguments, dict):
                with told(name, (tool, arguments)):
                    await _answered(client, tool, arguments)
    return core


async def _answered(client: Client, tool: str, arguments: dict[str, Any]) -> None:
    try:
        with anyio.fail_after(60):  # most that a call may wait, of virtual time on trio
            result = await call(client, tool, **arguments)
    except MCPError as error:
        said = str(error)
    else:
        said = text_of(result)
        assert said.strip()
        assert not result.is_error or "\n" not in said
    assert "failed inside ws-mcp" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("mode", MODES)
async def test_any_arguments_are_answered(mode: str, virtual_time: None) -> None:
    core = await _fuzz(WIDE, mode, 250)
    assert core.specs, "no call came through: the arguments are worth nothing"
    assert any(processes.made for processes in core.by_scope.values())


@pytest.mark.parametrize("mode", MODES)
async def test_no_arguments_get_past_a_narrow_policy(mode: str, virtual_time: None) -> None:
    core = await _fuzz(NARROW, mode, 250)
    assert core.specs
    for spec in core.specs:
        assert spec.tier not in (2, 3, 4)  # one that there is not is refused by the core, in its own words
        assert spec.image in ("", "debian:13")
        assert spec.kind != "local"
    assert not any(processes.made for processes in core.by_scope.values())
    assert core.devcontainers.asked == []


@pytest.mark.parametrize("mode", MODES)
async def test_no_arguments_change_anything_where_only_reading_is_allowed(mode: str, virtual_time: None) -> None:
    core = await _fuzz(READING, mode, 250)
    assert (core.specs, core.made, core.devcontainers.asked, core.devcontainers.stops) == ([], {}, [], 0)
    assert not any(processes.made for processes in core.by_scope.values())
    assert core.files.there == FakeCore().files.there
