"""Calls at once, calls in a second, streams: each limit holds at its value, names itself, and gives way again."""

from __future__ import annotations

from contextlib import ExitStack

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
    quotas = Quotas(MANY, Clock())
    with ExitStack() as running:
        for _ in range(8):
            running.enter_context(quotas.admit(act()))
        assert "`calls_at_once` is 8 for one chat: wait until" in refusal(quotas, act())
        call(quotas, act(chat="b"))
    call(quotas, act())


def test_a_principal_has_as_many_as_four_chats() -> None:
    quotas = Quotas(MANY, Clock())
    with ExitStack() as running:
        for chat in "abcd":
            for _ in range(8):
                running.enter_context(quotas.admit(act(chat=chat)))
        assert "`calls_at_once` is 32 for one principal" in refusal(quotas, act(chat="e"))
        assert "32 for one principal" in refusal(quotas, act(chat=None))
        call(quotas, act(who="bob"))


def test_calls_come_back_with_time() -> None:
    clock = Clock()
    quotas = Quotas(SLOW, clock)
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
    quotas = Quotas(SLOW, clock)
    for number in range(160):
        call(quotas, act(chat=f"c{number}"))
    assert "is 40 for one principal (160 after a pause)" in refusal(quotas, act(chat="new"))
    call(quotas, act(who="bob"))


def test_the_same_chat_name_of_another_principal_is_another_chat() -> None:
    quotas = Quotas(SLOW, Clock())
    for _ in range(40):
        call(quotas, act())
    call(quotas, act(who="bob"))


def test_streams_are_counted_apart_from_calls() -> None:
    quotas = Quotas(MANY, Clock())
    with ExitStack() as running:
        for _ in range(8):
            running.enter_context(quotas.admit(act(verb=LISTEN)))
        assert "`streams` is 8 open subscriptions/listen for one principal" in refusal(
            quotas, act("alice", "b", LISTEN)
        )
        call(quotas, act())
    call(quotas, act(verb=LISTEN))


def test_a_call_that_fails_gives_its_place_back() -> None:
    quotas = Quotas(MANY, Clock())
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), quotas.admit(act()):
            _ = 1 / 0
    call(quotas, act())


@given(lists(floats(0, 3), max_size=60))
def test_nobody_gets_more_than_the_burst_and_what_came_back(pauses: list[float]) -> None:
    clock = Clock()
    quotas = Quotas(SLOW, clock)
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
