"""The list of tools: what a model and a host see of it, kept as snapshots, within its budget.

Accept a change with UPDATE_SNAPSHOTS=1.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.edge_client import MODES, open_client
from support.fake_core import FakeCore

from ws_mcp.server import INSTRUCTIONS, NAME

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
MAX_TOOLS = 12
MAX_TOKENS = 1500
MAX_INSTRUCTIONS_BYTES = 2048
CHARACTERS_A_TOKEN = 4  # an estimate on the safe side: for this list OpenAI's o200k_base counts 4.1, cl100k_base 4.3
TOOLS = [
    "provision_workspace",
    "start_process",
    "read_output",
    "list_processes",
    "write_input",
    "signal_process",
    "list_containers",
    "workspace_files",
    "recreate_devcontainer",
    "stop_workspace",
    "remove_workspace",
]
HINTS = {
    # read only, destructive, idempotent, open world
    "provision_workspace": (False, True, True, True),
    "start_process": (False, True, False, True),
    "read_output": (True, False, True, False),
    "list_processes": (True, False, True, False),
    "write_input": (False, True, False, False),
    "signal_process": (False, True, False, False),
    "list_containers": (True, False, True, False),
    "workspace_files": (False, True, True, False),
    "recreate_devcontainer": (False, True, True, True),
    "stop_workspace": (False, True, False, False),
    "remove_workspace": (False, True, True, False),
}


async def listed(mode: str) -> list[dict[str, Any]]:
    async with open_client(FakeCore(), mode) as client:
        tools = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


def shown(tool: dict[str, Any]) -> str:
    """What a model gets of a tool: neither its title, nor its annotations, nor the schema of its answers."""
    return tool["name"] + tool["description"] + json.dumps(tool["inputSchema"], separators=(",", ":"))


@pytest.mark.parametrize("mode", MODES)
async def test_every_tool_is_as_its_snapshot_says(mode: str) -> None:
    tools = await listed(mode)
    assert [tool["name"] for tool in tools] == TOOLS
    for tool in tools:
        snapshot = SNAPSHOTS / f"{tool['name']}.json"
        found = {**tool, "characters": len(shown(tool))}
        if os.environ.get("UPDATE_SNAPSHOTS"):
            snapshot.write_text(json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True) + "\n")
        assert json.loads(snapshot.read_text()) == found, f"{tool['name']} changed: UPDATE_SNAPSHOTS=1 accepts it"
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == set(TOOLS)


async def test_the_list_stays_within_its_budget() -> None:
    sizes = {tool["name"]: len(shown(tool)) for tool in await listed(MODES[0])}
    assert len(sizes) <= MAX_TOOLS
    assert sum(sizes.values()) <= MAX_TOKENS * CHARACTERS_A_TOKEN, sizes


async def test_every_tool_says_what_it_does_to_the_world() -> None:
    for tool in await listed(MODES[0]):
        hints = tool["annotations"]
        assert tool["title"]
        assert HINTS[tool["name"]] == tuple(
            hints[name] for name in ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
        )


async def test_every_argument_and_every_field_of_an_answer_is_described() -> None:
    for tool in await listed(MODES[0]):
        assert tool["description"].endswith(".")
        assert all(part.get("description") for part in tool["inputSchema"]["properties"].values()), tool["name"]
        for schema in (tool.get("outputSchema", {}), *tool.get("outputSchema", {}).get("$defs", {}).values()):
            assert all(part.get("description") for part in schema.get("properties", {}).values()), tool["name"]


async def test_schemas_have_nothing_that_costs_tokens_and_says_nothing() -> None:
    for tool in await listed(MODES[0]):
        text = json.dumps(tool["inputSchema"])
        for word in ('"title"', '"default"', '"null"', '"minimum"', '"maxLength"', '"$defs"'):
            assert word not in text, (tool["name"], word)


@pytest.mark.parametrize("mode", MODES)
async def test_the_server_says_how_it_is_used(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        await client.list_tools()
        if mode == "legacy":
            assert client.server_info is not None
            assert (client.server_info.name, client.server_info.title) == (NAME, "ws-mcp")
            assert client.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS.encode()) <= MAX_INSTRUCTIONS_BYTES
    assert all(name in INSTRUCTIONS for name in TOOLS)
