"""Completions: values for the variables of templates and the arguments of prompts, of the caller's own only."""

from __future__ import annotations

from contextlib import suppress

from mcp.types import Completion

from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import Scope
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity, request
from ws_mcp.edge.wanted import Source, Wanted, fitting, wanted_of

MOST = 100  # of one answer, as the protocol has it
LISTED = 200  # processes among which is looked, running and newest first


class Completions:
    """Answers what is asked while somebody types. What cannot be told now, or is not the caller's, is not offered."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def complete(self, *_: object) -> Completion:
        """The values for the request that is being answered."""
        wanted = wanted_of(request().params)
        found = fitting(await self._values(wanted), wanted.typed) if wanted else []
        return Completion(values=found[:MOST], has_more=len(found) > MOST)

    async def _values(self, wanted: Wanted) -> list[str]:
        match wanted.source:
            case Source.CHAT:
                return await self._chat()
            case Source.PROCESSES:
                return await self._processes(wanted.chat)
            case Source.WORKSPACES:
                return await self._workspaces(wanted.chat)
            case Source.PLACES:
                return [*await self._workspaces(""), *(each for each, _ in await self._devcontainers())]
            case Source.DEVCONTAINERS:
                return [name for name, _ in await self._devcontainers()]
            case Source.FOLDERS:
                return [folder for _, folder in await self._devcontainers()]

    async def _chat(self) -> list[str]:
        # Of the others no handle is kept: whoever has one can write it.
        with suppress(WsError):
            return [(await self._identity.look()).handle]
        return []

    async def _processes(self, chat: str) -> list[str]:
        with suppress(WsError):
            listing = await self._core.processes(await self._scope(chat)).list(None, LISTED)
            return [each.process for each in listing.processes]
        return []

    async def _workspaces(self, chat: str) -> list[str]:
        with suppress(WsError):
            return [each.name for each in (await self._core.workspaces(await self._scope(chat))).workspaces]
        return []

    async def _devcontainers(self) -> list[tuple[str, str]]:
        with suppress(WsError):
            listing = await self._core.devcontainers_of(self._identity.principal.id).list()
            return [(each.name, each.key.folder) for each in listing.devcontainers]
        return []

    async def _scope(self, chat: str) -> Scope:
        # Only looked at: who types has not used a chat yet.
        return Scope(principal=self._identity.principal.id, chat=(await self._identity.look(chat)).id)
