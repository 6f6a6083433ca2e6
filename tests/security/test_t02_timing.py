"""T02: how long a refusal takes does not tell what is another's from what is nobody's.

The two are asked for in turn and compared pair by pair, so that what else the machine does falls on both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.edge_client import MODES
from support.many_people import Home, Town, open_town

from ws_mcp.core.host import sandbox

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed"),
]
PAIRS, ROUNDS = 60, 10  # of pairs: on a busy machine more of them are needed until the middle is where it is
MOST_S = 0.001  # the row's own figure
UNKNOWN = "A" * 22
Ask = Callable[[], Awaitable[str]]


async def difference_s(foreign: Ask, unknown: Ask) -> float:
    """By how much the one takes longer than the other, in the middle of as many pairs as show that."""
    found: list[float] = []
    for _ in range(ROUNDS):
        for number in range(PAIRS):
            took: dict[Ask, float] = {}
            for ask in (foreign, unknown) if number % 2 else (unknown, foreign):
                begin = time.perf_counter()
                await ask()
                took[ask] = time.perf_counter() - begin
            found.append(took[foreign] - took[unknown])
        if abs(statistics.median(found)) < MOST_S:
            break
    return statistics.median(found)


def asks(town: Town, mode: str, home: Home, other: Home) -> dict[str, tuple[Ask, Ask]]:
    """By what is named: how it is asked for when it is another's, and when it is nobody's."""

    def tool(name: str, /, **arguments: object) -> Ask:
        return lambda: town.said(mode, home.owner, name, **arguments)

    def address(uri: str) -> Ask:
        return lambda: town.read(mode, home.owner, uri)

    return {
        "a chat": (
            tool("list_processes", chat=other.chat),
            tool("list_processes", chat=f"c_{UNKNOWN}"),
        ),
        "a process": (
            tool("read_output", process_id=other.process, chat=home.chat),
            tool("read_output", process_id="p_zzzzzzzz", chat=home.chat),
        ),
        "a process to signal": (
            tool("signal_process", process_id=other.process, chat=home.chat),
            tool("signal_process", process_id="p_zzzzzzzz", chat=home.chat),
        ),
        "a workspace": (
            tool("stop_workspace", name=other.workspace, chat=home.chat),
            tool("stop_workspace", name="nobody-0", chat=home.chat),
        ),
        "an address": (
            address(f"ws://chats/{other.chat}/processes"),
            address(f"ws://chats/c_{UNKNOWN}/processes"),
        ),
    }


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_anothers_is_refused_as_fast_as_what_is_nobodys(mode: str, tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        home = town.homes[0]
        other = next(each for each in town.homes if each.owner != home.owner)
        measured = {
            what: await difference_s(foreign, unknown)
            for what, (foreign, unknown) in asks(town, mode, home, other).items()
        }
        assert {what: took for what, took in measured.items() if abs(took) >= MOST_S} == {}
        assert await town.is_whole()
