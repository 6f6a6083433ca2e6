"""What every refusal at the gate has to come with: nothing was done, it was written down, the server still answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client

from support.edge_client import call, ok, open_client, text_of
from support.fake_core import FakeCore
from support.memory_journal import MemoryJournal
from support.policies import ALICE
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.acts import Transport
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.edge.guards import Guards


class Server:
    """A server over a core in memory, whose policy is said; `principal` is who asks."""

    def __init__(self, client: Client, core: FakeCore, journal: MemoryJournal) -> None:
        self.client = client
        self.core = core
        self.journal = journal

    async def denied(self, tool: str, rule: str, /, **arguments: Any) -> str:
        """Call what must be refused by a rule; returns what the caller is told."""
        before = self._effects()
        result = await call(self.client, tool, **arguments)
        assert result.is_error, result
        assert self._effects() == before
        *_, intent, outcome = self.journal.lines
        assert (intent[0], intent[2], outcome[1]) == (tool, rule, "denied")
        assert await self.client.list_tools()
        return text_of(result)

    async def allowed(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call what must succeed."""
        return await ok(self.client, tool, **arguments)

    async def tools(self) -> set[str]:
        """The names in the list of tools."""
        return {tool.name for tool in (await self.client.list_tools()).tools}

    def _effects(self) -> tuple[object, ...]:
        core = self.core
        return len(core.specs), dict(core.made), dict(core.by_scope), dict(core.devcontainers.there)


@asynccontextmanager
async def open_server(
    policy: PolicyInForce, mode: str, principal: PrincipalId = ALICE, transport: Transport = "stdio"
) -> AsyncGenerator[Server]:
    """A client of a principal on a server with this policy."""
    core, journal = FakeCore(), MemoryJournal()
    core.rules_of = policy.rules_of
    guards = Guards(decide=policy.decide, journal=journal, transport=transport)
    async with open_client(core, mode, principal=principal, guards=guards) as client:
        yield Server(client, core, journal)
