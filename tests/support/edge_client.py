"""The SDK's client on our server over a core in memory: how tools and resources are tested."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client
from mcp.types import CallToolResult, Implementation, TextContent, TextResourceContents

from support.fake_core import FakeCore
from ws_mcp.core.ids import Principal, PrincipalId
from ws_mcp.edge.guards import Guards
from ws_mcp.edge.identity import Hint
from ws_mcp.server import build_server

MODES = ("legacy", "2026-07-28")
"""Both protocol eras: the handshake of 2025-11-25, and 2026-07-28."""

PROJECT = Hint(text="project:/src/app", is_shared=True)
ALICE = PrincipalId("local:1000")


@asynccontextmanager
async def open_client(
    core: FakeCore,
    mode: str = MODES[0],
    *,
    hint: Hint | None = PROJECT,
    principal: PrincipalId = ALICE,
    name: str = "test",
    guards: Guards | None = None,
    seal: bytes | None = None,
    **more: Any,
) -> AsyncGenerator[Client]:
    """A client of an era on a server over `core`."""
    server = build_server(
        core, default_hint=hint, principal_of=lambda: Principal(id=principal), guards=guards, seal=seal
    )
    async with Client(server, mode=mode, client_info=Implementation(name=name, version="1"), **more) as client:
        yield client


async def call(client: Client, tool: str, /, **arguments: Any) -> CallToolResult:
    """Call a tool."""
    return await client.call_tool(tool, arguments)


async def ok(client: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a call that must succeed."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return result.structured_content or {}


async def refused(client: Client, tool: str, /, **arguments: Any) -> str:
    """What a call that must fail says: one line."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    assert result.structured_content is None
    assert "\n" not in text_of(result)
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    """All text of an answer."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def resource(client: Client, uri: str) -> str:
    """The text of a resource."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text
