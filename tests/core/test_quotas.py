"""Calls at once, calls in a second, streams: each limit holds at its value, names itself, and gives way again."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists

from ws_mcp.core.errors import LimitError
from ws_mcp.core.ids import ChatId, Principal, PrincipalId
from ws_mcp.core.policy.acts import Act
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.quotas import LISTEN, Quotas

SLOW = Limits(calls_per_s=10, calls_burst=40)
MANY = Limits(calls_per_s=1e9, calls_burst=10**9)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def act(who: str = "alice", chat: str | None = "a", verb: str = "list_processes") -> Act:
    return Act(
        principal=Principal(id=PrincipalId(who)), chat=ChatId(chat) if chat else None, verb=verb, is_read_only=True
    )


def call(quotas: Quotas, one: Act) -> None:
    with quotas.admit(one):
        pass


def refusal(quotas: Quotas, one: Act) -> str:
    with pytest.raises(LimitError) as refused:
        call(quotas, one)
    return str(refused.value)


def test_a_chat_has_so_many_calls_at_once_and_no_more() -> None:
    quotas = Quotas(lambda: MANY, Clock())
    with ExitStack() as running:
        for _ in range(8):
            running.enter_context(quotas.admit(act()))
        assert "`calls_at_once` is 8 for one chat: wait until" in refusal(quotas, act())
        call(quotas, act(chat="b"))
    call(quotas, act())


def test_a_principal_has_as_many_as_four_chats() -> None:
    quotas = Quotas(lambda: MANY, Clock())
    with ExitStack() as running:
        for chat in "abcd":
            for _ in range(8):
                running.enter_context(quotas.admit(act(chat=chat)))
        assert "`calls_at_once` is 32 for one principal" in refusal(quotas, act(chat="e"))
        assert "32 for one principal" in refusal(quotas, act(chat=None))
        call(quotas, act(who="bob"))


def test_calls_come_back_with_time() -> None:
    clock = Clock()
    quotas = Quotas(lambda: SLOW, clock)
    for _ in range(40):
        call(quotas, act())
    said = refusal(quotas, act())
    assert said.startswith("the limit `calls_per_s` is 10 for one chat (40 after a pause): wait 0.1 s, then call again")
    call(quotas, act(chat="b"))
    clock.now += 0.1
    call(quotas, act())
    assert "wait 0.1 s" in refusal(quotas, act())


def test_many_chats_of_one_principal_do_not_make_it_faster_than_four() -> None:
    clock = Clock()
    quotas = Quotas(lambda: SLOW, clock)
    for number in range(160):
        call(quotas, act(chat=f"c{number}"))
    assert "is 40 for one principal (160 after a pause)" in refusal(quotas, act(chat="new"))
    call(quotas, act(who="bob"))


def test_the_same_chat_name_of_another_principal_is_another_chat() -> None:
    quotas = Quotas(lambda: SLOW, Clock())
    for _ in range(40):
        call(quotas, act())
    call(quotas, act(who="bob"))


def test_streams_are_counted_apart_from_calls() -> None:
    quotas = Quotas(lambda: MANY, Clock())
    with ExitStack() as running:
        for _ in range(8):
            running.enter_context(quotas.admit(act(verb=LISTEN)))
        assert "`streams` is 8 open streams" in refusal(quotas, act("alice", "b", LISTEN))
        call(quotas, act())
    call(quotas, act(verb=LISTEN))


def test_a_call_that_fails_gives_its_place_back() -> None:
    quotas = Quotas(lambda: MANY, Clock())
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), quotas.admit(act()):
            _ = 1 / 0
    call(quotas, act())


class Changing:
    """Limits that an operator changes."""

    def __init__(self, limits: Limits | None) -> None:
        self.limits = limits

    def __call__(self) -> Limits | None:
        return self.limits


@pytest.mark.parametrize("before", [MANY, None])
def test_new_limits_count_what_was_let_in_before_them(before: Limits | None) -> None:
    limits = Changing(before)
    quotas = Quotas(limits, Clock())
    with ExitStack() as running:
        for _ in range(3):
            running.enter_context(quotas.admit(act()))
        limits.limits = Limits(calls_at_once=3)
        assert "`calls_at_once` is 3 for one chat" in refusal(quotas, act())
        running.enter_context(quotas.admit(act(chat="b")))
        limits.limits = Limits(calls_at_once=2, principal_times=2)
        assert "`calls_at_once` is 4 for one principal" in refusal(quotas, act(chat="c"))
        limits.limits = before
        call(quotas, act())
    limits.limits = Limits(calls_at_once=1)
    call(quotas, act())


def test_a_smaller_burst_takes_what_was_saved_up_and_a_larger_one_gives_nothing_at_once() -> None:
    clock, limits = Clock(), Changing(SLOW)
    quotas = Quotas(limits, clock)
    call(quotas, act())
    limits.limits = Limits(calls_per_s=1, calls_burst=2, principal_times=1)
    for _ in range(2):
        call(quotas, act())
    assert "`calls_per_s` is 1 for one chat (2 after a pause)" in refusal(quotas, act())
    limits.limits = SLOW
    assert "wait 0.1 s" in refusal(quotas, act())
    clock.now += 0.1
    call(quotas, act())


def test_streams_that_are_open_count_for_fewer_that_may_be() -> None:
    limits = Changing(None)
    quotas = Quotas(limits, Clock())
    with ExitStack() as running:
        for open_one in (quotas.stream(PrincipalId("alice")), quotas.admit(act(verb=LISTEN))):
            running.enter_context(open_one)
        limits.limits = Limits(streams=2)
        assert "`streams` is 2 open streams" in refusal(quotas, act(verb=LISTEN))
    call(quotas, act(verb=LISTEN))


def test_a_stream_over_http_has_its_place_before_it_is_asked_for() -> None:
    quotas = Quotas(lambda: Limits(streams=1), Clock())
    listen = replace(act(verb=LISTEN), transport="http")
    with quotas.stream(PrincipalId("alice")):
        call(quotas, listen)
        with pytest.raises(LimitError), quotas.stream(PrincipalId("alice")):
            pass
        with quotas.stream(PrincipalId("bob")):
            pass


@given(lists(floats(0, 3), max_size=60))
def test_nobody_gets_more_than_the_burst_and_what_came_back(pauses: list[float]) -> None:
    clock = Clock()
    quotas = Quotas(lambda: SLOW, clock)
    began, passed = clock.now, 0
    for pause in pauses:
        clock.now += pause
        for _ in range(20):
            try:
                call(quotas, act())
            except LimitError:
                break
            passed += 1
    assert passed <= 40 + (clock.now - began) * 10 + 1e-6
