"""A thousand processes in one server: what each costs, a storm of signals among them, and the end of all at once."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.bench import table
from tests.load.crowd import OF_A_CHAT, Crowd, exodus, open_crowd, storm

CHATS = 10
SIGNALS, ENDING = 1000, 50
MIB = 1 << 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def crowd() -> Generator[Crowd]:
    with open_crowd() as crowd:
        yield crowd


def test_a_thousand_processes_live_in_one_server(crowd: Crowd) -> None:
    crowd.grow(1)
    few = crowd.cost
    crowd.grow(CHATS - 1)
    many = crowd.cost
    more = (CHATS - 1) * OF_A_CHAT
    assert len(crowd.waiting) == 1000
    assert many.server_bytes < 300 * MIB
    assert (many.server_bytes - few.server_bytes) / more < 4096
    assert (many.descriptors - few.descriptors) / more <= 4
    # A thread of a pool may come and go; one of a child would be a thousand.
    assert many.server_threads - few.server_threads < 10
    assert (many.execd_threads - few.execd_threads) / more < 0.5
    assert table.p50(crowd.lists(2 * CHATS)) < 0.1 * 5  # its own number is for a machine that does nothing else


def test_a_storm_of_signals_reaches_whom_it_is_for_and_loses_no_exit_code(crowd: Crowd) -> None:
    crowd.grow(max(0, 1 - len(crowd.keepers)))
    ending = min(ENDING, len(crowd.waiting) // 2)
    done = storm(crowd, SIGNALS, ending, seed=1)
    assert done.wrong == []
    assert done.calls == SIGNALS


def test_all_that_end_at_once_are_told_with_their_codes(crowd: Crowd) -> None:
    while len(crowd.waiting) < CHATS * OF_A_CHAT:  # the storm has ended some
        crowd.grow(1)
    running = len(crowd.waiting)
    done = exodus(crowd)
    assert done.wrong == []
    assert done.calls == running >= 1000
