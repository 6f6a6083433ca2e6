from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, none, recursive, text

from ws_mcp.core.execd.about import FIRST_REQUESTS, hello_of
from ws_mcp.core.execd.protocol import ExecdProtocolError

values = recursive(
    none() | integers(-(1 << 63), (1 << 63) - 1) | text(),
    lambda inner: lists(inner, max_size=4) | dictionaries(text(), inner, max_size=4),
    max_leaves=10,
)


@given(header=dictionaries(text(), values))
def test_any_hello_is_a_hello_or_a_bad_message(header: dict[str, Any]) -> None:
    with suppress(ExecdProtocolError):
        hello_of(header)


def test_an_execd_that_names_no_requests_serves_the_first_ones() -> None:
    assert hello_of({}).requests == FIRST_REQUESTS
    assert hello_of({"requests": ["stat", "ping"]}).requests == {"stat", "ping"}


@pytest.mark.parametrize("named", ["stat", {}, 5, [5], [None], [["stat"]]])
def test_requests_that_are_no_list_of_names_are_a_bad_message(named: object) -> None:
    with pytest.raises(ExecdProtocolError):
        hello_of({"requests": named})
