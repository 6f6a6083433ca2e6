"""What every memory of keyed starts does: the one in the state directory and the one of the tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.memory_receipts import MemoryReceipts

from ws_mcp.core.clock import utc_now
from ws_mcp.core.ids import ChatId, PlaceId, ProcessId
from ws_mcp.core.processes.port import StartClaim, StartReceipts
from ws_mcp.core.processes.receipts import StateReceipts
from ws_mcp.core.state import open_state

CHAT, OTHER = ChatId("c_1"), ChatId("c_2")
ONE = StartClaim(digest="d", process=ProcessId("p_1"), place=PlaceId("w_1"), boot="b1")
TWO = replace(ONE, process=ProcessId("p_2"), digest="e")

Pair = tuple[StartReceipts, StartReceipts]


class ReceiptsContract:
    """`servers` gives two servers' views of one memory."""

    def servers(self, home: Path) -> AbstractAsyncContextManager[Pair]:
        raise NotImplementedError

    @pytest.fixture
    async def pair(self, tmp_path: Path) -> AsyncGenerator[Pair]:
        async with self.servers(tmp_path) as pair:
            yield pair

    async def test_the_first_claim_of_a_key_stays(self, pair: Pair) -> None:
        assert await pair[0].claim(CHAT, "k", ONE) == ONE
        assert await pair[1].claim(CHAT, "k", TWO) == ONE
        assert await pair[1].claim(OTHER, "k", TWO) == TWO
        assert await pair[0].claim(CHAT, "other", TWO) == TWO

    async def test_of_many_claims_at_once_one_wins(self, pair: Pair) -> None:
        kept: list[StartClaim] = []

        async def one(number: int) -> None:
            claim = replace(ONE, process=ProcessId(f"p_{number}"))
            kept.append(await pair[number % 2].claim(CHAT, "k", claim))

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        assert len(set(kept)) == 1

    async def test_a_claim_is_found_by_key_and_by_process(self, pair: Pair) -> None:
        assert await pair[0].find(CHAT, "k") is None
        await pair[0].claim(CHAT, "k", ONE)
        assert await pair[1].find(CHAT, "k") == ONE
        assert await pair[1].find(OTHER, "k") is None
        assert await pair[1].find_process(CHAT, ONE.process) == ONE
        assert await pair[1].find_process(CHAT, TWO.process) is None
        assert await pair[1].find_process(OTHER, ONE.process) is None

    async def test_only_the_claim_of_the_process_is_confirmed(self, pair: Pair) -> None:
        await pair[0].claim(CHAT, "k", ONE)
        await pair[1].confirm(CHAT, "k", TWO.process)
        await pair[1].confirm(OTHER, "k", ONE.process)
        assert await pair[0].find(CHAT, "k") == ONE
        await pair[1].confirm(CHAT, "k", ONE.process)
        confirmed = replace(ONE, is_confirmed=True)
        assert await pair[0].find(CHAT, "k") == confirmed
        assert await pair[0].find_process(CHAT, ONE.process) == confirmed
        assert await pair[0].claim(CHAT, "k", TWO) == confirmed

    async def test_only_the_claim_of_the_process_is_released(self, pair: Pair) -> None:
        await pair[0].claim(CHAT, "k", ONE)
        await pair[1].release(CHAT, "k", TWO.process)
        await pair[1].release(OTHER, "k", ONE.process)
        assert await pair[0].find(CHAT, "k") == ONE
        await pair[1].release(CHAT, "k", ONE.process)
        await pair[1].release(CHAT, "k", ONE.process)
        assert await pair[0].find(CHAT, "k") is None
        assert await pair[0].claim(CHAT, "k", TWO) == TWO


class TestMemoryReceipts(ReceiptsContract):
    @asynccontextmanager
    async def servers(self, home: Path) -> AsyncGenerator[Pair]:
        receipts = MemoryReceipts()
        yield receipts, receipts


@pytest.mark.usefixtures("real_io")
class TestStateReceipts(ReceiptsContract):
    @asynccontextmanager
    async def servers(self, home: Path) -> AsyncGenerator[Pair]:
        async with open_state(home / "state") as one, open_state(home / "state") as other:
            yield StateReceipts(one, utc_now), StateReceipts(other, utc_now)
