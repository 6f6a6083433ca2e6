"""T03: nothing that is about a chat may be kept by a cache that another user reads."""

from __future__ import annotations

from typing import Any

from support.edge_client import MODES, ok, open_client
from support.fake_core import FakeCore

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
