"""Receipts of keyed starts in memory, shared by the managers of one test as a state directory would be."""

from __future__ import annotations

from dataclasses import replace

from ws_mcp.core.ids import ChatId, ProcessId
from ws_mcp.core.processes.port import StartClaim


class MemoryReceipts:
    """`claims` by chat and key."""

    def __init__(self) -> None:
        self.claims: dict[tuple[ChatId, str], StartClaim] = {}

    async def claim(self, chat: ChatId, key: str, claim: StartClaim) -> StartClaim:
        return self.claims.setdefault((chat, key), claim)

    async def find(self, chat: ChatId, key: str) -> StartClaim | None:
        return self.claims.get((chat, key))

    async def find_process(self, chat: ChatId, process: ProcessId) -> StartClaim | None:
        found = (claim for (owner, _), claim in self.claims.items() if owner == chat and claim.process == process)
        return next(found, None)

    async def confirm(self, chat: ChatId, key: str, process: ProcessId) -> None:
        claim = self.claims.get((chat, key))
        if claim is not None and claim.process == process:
            self.claims[chat, key] = replace(claim, is_confirmed=True)

    async def release(self, chat: ChatId, key: str, process: ProcessId) -> None:
        claim = self.claims.get((chat, key))
        if claim is not None and claim.process == process:
            del self.claims[chat, key]
