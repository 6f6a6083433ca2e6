"""What is remembered of keyed starts, in the state directory."""

from __future__ import annotations

from ws_mcp.core.clock import Now
from ws_mcp.core.ids import ChatId, PlaceId, ProcessId
from ws_mcp.core.processes.port import StartClaim
from ws_mcp.core.state import StartRecord, State


class StateReceipts:
    """See `port.StartReceipts`."""

    def __init__(self, state: State, now: Now) -> None:
        self._state = state
        self._now = now

    async def claim(self, chat: ChatId, key: str, claim: StartClaim) -> StartClaim:
        record = StartRecord(digest=claim.digest, process=claim.process, place=claim.place, boot=claim.boot)
        return _claim(await self._state.claim_start(chat, key, record, self._now()))

    async def find(self, chat: ChatId, key: str) -> StartClaim | None:
        record = await self._state.start_of_key(chat, key)
        return _claim(record) if record else None

    async def find_process(self, chat: ChatId, process: ProcessId) -> StartClaim | None:
        record = await self._state.start_of_process(chat, process)
        return _claim(record) if record else None

    async def confirm(self, chat: ChatId, key: str, process: ProcessId) -> None:
        await self._state.confirm_start(chat, key, process)

    async def release(self, chat: ChatId, key: str, process: ProcessId) -> None:
        await self._state.release_start(chat, key, process)


def _claim(record: StartRecord) -> StartClaim:
    return StartClaim(
        digest=record.digest,
        process=ProcessId(record.process),
        place=PlaceId(record.place),
        boot=record.boot,
        is_confirmed=record.is_confirmed,
    )
