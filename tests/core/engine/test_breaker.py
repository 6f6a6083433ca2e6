"""An engine that hangs is not asked by everybody: after some calls without an answer the next ones fail at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from ws_mcp.core.engine.breaker import FAILURES, PAUSE_S, Breaker
from ws_mcp.core.errors import EngineNotFoundError, EngineTimeoutError, EngineUnavailableError

pytestmark = pytest.mark.usefixtures("virtual_time")

Act = Callable[[], Awaitable[None]]
LATE_S = 10.0


async def _hang() -> None:
    await anyio.sleep(LATE_S)
    raise EngineTimeoutError("the engine did not answer in time")


async def _answer() -> None:
    await anyio.sleep(0.01)


async def _ask(breaker: Breaker, act: Act) -> None:
    with breaker.asking("unix:///x"):
        await act()


async def _open(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        with pytest.raises(EngineTimeoutError, match="in time"):
            await _ask(breaker, _hang)


async def test_after_five_calls_without_an_answer_the_next_fail_at_once_and_say_when_it_is_tried() -> None:
    breaker = Breaker()
    await _open(breaker)
    began = anyio.current_time()
    for _ in range(50):
        with pytest.raises(EngineTimeoutError, match=r"has not answered for 50 s, .* next try is in 10 s"):
            await _ask(breaker, _answer)
    assert anyio.current_time() == began


async def test_one_is_let_through_after_a_pause_and_its_answer_ends_it() -> None:
    breaker = Breaker()
    await _open(breaker)
    await anyio.sleep(PAUSE_S)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_ask, breaker, _answer)
        await anyio.sleep(0.001)
        with pytest.raises(EngineTimeoutError, match="next try is going on"):
            await _ask(breaker, _answer)
    await _ask(breaker, _answer)


async def test_one_that_is_let_through_in_vain_begins_another_pause() -> None:
    breaker = Breaker()
    await _open(breaker)
    await anyio.sleep(PAUSE_S)
    with pytest.raises(EngineTimeoutError, match="in time"):
        await _ask(breaker, _hang)
    with pytest.raises(EngineTimeoutError, match=r"not answered for 70 s, .* next try is in 10 s"):
        await _ask(breaker, _answer)


async def test_who_listens_is_let_through_always_and_its_answer_ends_it() -> None:
    breaker = Breaker()
    await _open(breaker)
    with breaker.listening():
        await _answer()
    await _ask(breaker, _answer)


async def test_any_answer_in_between_begins_the_count_anew() -> None:
    for answer in (EngineNotFoundError("none"), EngineUnavailableError("nobody there")):
        breaker = Breaker()
        for _ in range(3 * FAILURES):
            with pytest.raises(EngineTimeoutError, match="in time"):
                await _ask(breaker, _hang)

            async def refuse(error: Exception = answer) -> None:
                raise error

            with pytest.raises(type(answer)):
                await _ask(breaker, refuse)
        assert not breaker.is_open


async def test_a_caller_that_is_cancelled_says_nothing_of_the_engine() -> None:
    breaker = Breaker()
    for _ in range(3 * FAILURES):
        with anyio.move_on_after(1):
            await _ask(breaker, _hang)
    assert not breaker.is_open
    await _open(breaker)
    await anyio.sleep(PAUSE_S)
    with anyio.move_on_after(1):
        await _ask(breaker, _hang)
    assert breaker.is_open
    await _ask(breaker, _answer)  # the one that was cancelled is no try that goes on
