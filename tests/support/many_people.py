"""Three principals with three chats each on one real core, each chat with a local workspace and a running process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError
from mcp.types import CallToolResult

from support.edge_client import MODES, text_of
from ws_mcp.core.choices import Choices
from ws_mcp.core.ids import Principal, PrincipalId
from ws_mcp.core.runtime import Core, open_core
from ws_mcp.edge.guards import Guards
from ws_mcp.server import build_server

PEOPLE = ("alice", "bob", "carol")
CHATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A chat, and what is in it."""

    owner: str
    chat: str
    id: str
    workspace: str
    process: str


@dataclass(kw_only=True)
class Town:
    """All chats, and who speaks now: the principal of every request from then on."""

    core: Core
    clients: dict[str, Client] = field(default_factory=dict[str, Client])
    homes: list[Home] = field(default_factory=list[Home])
    who: str = PEOPLE[0]

    async def call(self, mode: str, who: str, tool: str, /, **arguments: Any) -> CallToolResult:
        self.who = who
        return await self.clients[mode].call_tool(tool, arguments)

    async def ok(self, mode: str, who: str, tool: str, /, **arguments: Any) -> dict[str, Any]:
        result = await self.call(mode, who, tool, **arguments)
        assert not result.is_error, (tool, text_of(result))
        return result.structured_content or {}

    async def said(self, mode: str, who: str, tool: str, /, **arguments: Any) -> str:
        """What a call that must be refused says."""
        result = await self.call(mode, who, tool, **arguments)
        assert result.is_error, (tool, who, arguments)
        return text_of(result)

    async def read(self, mode: str, who: str, uri: str) -> str:
        """What a resource holds, or what the refusal says."""
        self.who = who
        try:
            (content,) = (await self.clients[mode].read_resource(uri)).contents
        except MCPError as error:
            return f"refused {error.error.code}: {error.error.message}"
        return str(getattr(content, "text", ""))

    def others_of(self, home: Home) -> list[Home]:
        """Every other chat, first those of the same person."""
        return sorted((each for each in self.homes if each != home), key=lambda each: each.owner != home.owner)

    async def is_whole(self) -> bool:
        """Whether every chat still has its workspace and its running process, and nothing else."""
        for home in self.homes:
            there = await self.ok(MODES[0], home.owner, "list_containers", chat=home.chat)
            running = await self.ok(MODES[0], home.owner, "list_processes", chat=home.chat, state="running")
            names = [each["name"] for each in there["workspaces"]]
            processes = [each["process_id"] for each in running["processes"]]
            if (names, processes) != ([home.workspace], [home.process]):
                return False
        return True


@asynccontextmanager
async def open_town(path: Path, guards: Guards | None = None) -> AsyncGenerator[Town]:
    """The people at home; at the end nothing of them is left."""
    async with open_core(Choices(state=path / "state"), None) as core, AsyncExitStack() as stack:
        town = Town(core=core)
        server = build_server(
            core, default_hint=None, principal_of=lambda: Principal(id=PrincipalId(town.who)), guards=guards
        )
        for mode in MODES:
            town.clients[mode] = await stack.enter_async_context(Client(server, mode=mode))
        try:
            for owner in PEOPLE:
                for number in range(CHATS):
                    town.homes.append(await _home(town, owner, f"{owner}-{number}"))
            yield town
        finally:
            with anyio.CancelScope(shield=True):
                for scope, workspace in await core.all_workspaces():
                    await core.remove(scope, workspace.name, keep_volume=False)


async def _home(town: Town, owner: str, name: str) -> Home:
    mode = MODES[0]
    made = await town.ok(mode, owner, "provision_workspace", kind="local", name=name, chat="new")
    started = await town.ok(
        mode, owner, "start_process", command="cat", workspace=name, keep_stdin=True, wait_s=0, chat=made["chat"]
    )
    known = {chat.label: chat.id for chat in await town.core.chats(PrincipalId(owner))}
    return Home(owner=owner, chat=made["chat"], id=known[name], workspace=name, process=started["process_id"])
