"""Work of the background: done again and again, whatever becomes of it."""

from __future__ import annotations

import logging

import anyio
import pytest

from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.repeat import repeat


async def test_it_is_done_at_once_and_again_after_each_pause_though_it_fails(
    virtual_time: None, caplog: pytest.LogCaptureFixture
) -> None:
    at: list[float] = []

    async def work() -> None:
        at.append(anyio.current_time())
        if len(at) == 2:
            raise EngineUnavailableError("no engine answers")
        if len(at) == 3:
            raise ZeroDivisionError("of ours")
        await anyio.sleep(5)

    with caplog.at_level(logging.INFO), anyio.move_on_after(200):
        await repeat("the sweep", 60, work)
    assert [moment - at[0] for moment in at] == [0, 65, 125, 185]
    assert "the sweep is not possible now: no engine answers" in caplog.text
    assert "ZeroDivisionError" in caplog.text
