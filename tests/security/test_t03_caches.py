"""T03: nothing that is about a chat may be kept by a cache that another user reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

from support.denials import open_server
from support.edge_client import MODES, ok, open_client
from support.fake_core import FakeCore
from support.policies import ALICE, BOB, everything, in_force

from ws_mcp.core.ids import PrincipalId

MODERN = MODES[1]


def scope_of(result: Any) -> tuple[object, object]:
    values = result.model_dump(mode="json", by_alias=True)
    return values.get("cacheScope"), values.get("ttlMs")


async def test_what_is_about_a_chat_is_private_and_stale_at_once() -> None:
    async with open_client(FakeCore(), MODERN) as client:
        chat = (await ok(client, "provision_workspace"))["chat"]
        await ok(client, "start_process", command="x", wait_s=0)
        assert scope_of(await client.list_resources()) == ("private", 0)
        for uri in (
            "ws://containers",
            "ws://chats",
            f"ws://chats/{chat}/containers",
            f"ws://chats/{chat}/processes",
            f"ws://chats/{chat}/processes/p_00000001/output",
        ):
            assert scope_of(await client.read_resource(uri)) == ("private", 0), uri


async def test_only_what_all_callers_share_may_be_cached() -> None:
    async with open_client(FakeCore(), MODERN) as client:
        assert scope_of(await client.list_tools())[0] == "public"
        assert scope_of(await client.list_resource_templates()) in (("private", 0), ("public", 0))


GOLDEN = Path(__file__).with_name("t03_caches.json")
GRANTS = everything(), everything("bob", tools=("list_containers", "read_output", "provision_workspace"))


def shape_of(value: object, name: str = "") -> object:
    """What a golden file keeps of an answer: its fields and their types; who may keep it, and how long, as it is."""
    if name in ("cacheScope", "ttlMs"):
        return value
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        if name in ("inputSchema", "outputSchema", "_meta"):  # tools have their own snapshots, and the SDK its version
            return "object"
        return {field: shape_of(fields[field], field) for field in sorted(fields)}
    if isinstance(value, list):
        shapes = [shape_of(each) for each in cast("list[object]", value)]
        distinct = {json.dumps(shape, sort_keys=True): shape for shape in shapes}
        return [distinct[text] for text in sorted(distinct)]
    return type(value).__name__


async def answers_for(principal: PrincipalId) -> dict[str, dict[str, Any]]:
    """Every answer that a cache may keep, on the wire, as a principal of a policy gets it."""
    async with open_server(in_force(*GRANTS), MODERN, principal) as server:
        client = server.client
        chat = (await server.allowed("provision_workspace"))["chat"]
        found = {
            "tools/list": await client.list_tools(),
            "resources/list": await client.list_resources(),
            "resources/templates/list": await client.list_resource_templates(),
            "resources/read ws://containers": await client.read_resource("ws://containers"),
            "resources/read ws://chats": await client.read_resource("ws://chats"),
            "resources/read of a chat": await client.read_resource(f"ws://chats/{chat}/containers"),
        }
    return {
        name: each.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"meta"})
        for name, each in found.items()
    }


async def test_what_a_cache_may_keep_is_as_the_golden_file_has_it_and_private_where_principals_differ() -> None:
    alices, bobs = await answers_for(ALICE), await answers_for(BOB)
    shapes = {name: shape_of(answer) for name, answer in alices.items()}
    if os.environ.get("UPDATE_SNAPSHOTS"):
        GOLDEN.write_text(json.dumps(shapes, indent=2) + "\n")
    assert json.loads(GOLDEN.read_text()) == json.loads(json.dumps(shapes)), "UPDATE_SNAPSHOTS=1 accepts the change"
    assert len(alices["tools/list"]["tools"]) > len(bobs["tools/list"]["tools"])
    for name, answer in alices.items():
        kept = answer["cacheScope"], answer["ttlMs"]
        # Which tools there are is not about a chat: who asked may keep that for a while.
        assert kept == ("private", 60_000 if name == "tools/list" else 0), name
        assert kept == (bobs[name]["cacheScope"], bobs[name]["ttlMs"]), name
