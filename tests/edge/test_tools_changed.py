"""A policy that is read again: clients of both eras hear that their tools may have changed, where they may have."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp import types as mcp_types
from mcp.server.subscriptions import ToolsListChanged
from mcp.types import Implementation
from support.edge_client import ALICE, MODES, PROJECT
from support.fake_core import FakeCore
from support.policies import WIDEST, everything

from ws_mcp.core.ids import Principal
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.model import Policy
from ws_mcp.edge.guards import Guards
from ws_mcp.server import build_server

LOOKING = Policy(grants=(everything("*", tools=("list_*",)),))
READING = Policy(grants=(everything("*", tools=("read_*",)),))


class Ground:
    """A server whose policy changes, and how often its client heard of other tools."""

    def __init__(self) -> None:
        self.said = LOOKING
        self.policy = PolicyInForce(lambda: self.said, WIDEST, "stdio")
        self.heard = 0

    async def says(self, policy: Policy) -> None:
        self.said = policy
        await self.policy.reload()

    async def hears(self, count: int) -> None:
        with anyio.fail_after(30):
            while self.heard < count:  # noqa: ASYNC110 - the client's own tasks count
                await anyio.sleep(0.01)


@asynccontextmanager
async def open_listening(ground: Ground, mode: str) -> AsyncGenerator[Client]:
    guards = Guards(decide=ground.policy.decide)
    server = build_server(
        FakeCore(),
        default_hint=PROJECT,
        principal_of=lambda: Principal(id=ALICE),
        guards=guards,
        policy=ground.policy,
    )

    async def on_message(message: Any) -> None:
        ground.heard += isinstance(message, mcp_types.ToolListChangedNotification)

    info = Implementation(name="test", version="1")
    handler = on_message if mode == "legacy" else None
    async with Client(server, mode=mode, client_info=info, message_handler=handler) as client:
        if mode == "legacy":
            yield client
            return
        async with client.listen(tools_list_changed=True) as events, anyio.create_task_group() as tasks:

            async def hear() -> None:
                async for event in events:
                    ground.heard += isinstance(event, ToolsListChanged)

            tasks.start_soon(hear)
            yield client
            tasks.cancel_scope.cancel()


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


@pytest.mark.parametrize("mode", MODES)
async def test_who_listens_hears_of_other_grants_and_finds_other_tools(mode: str, real_io: None) -> None:
    ground = Ground()
    async with open_listening(ground, mode) as client:
        assert await names(client) == {"list_processes", "list_containers"}
        await ground.says(READING)
        await ground.hears(1)
        assert await names(client) == {"read_output"}
        await ground.says(Policy(grants=(everything("*"),), is_read_only=True))
        await ground.hears(2)
        assert await names(client) == {"read_output", "list_processes", "list_containers"}
