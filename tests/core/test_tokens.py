"""Records of tokens: what a file may say, who a token stands for, and that no record gives a token away."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_mcp.core.errors import InvalidArgumentError, StateError
from ws_mcp.core.ids import READ, SCOPES, WRITE, Principal, PrincipalId
from ws_mcp.core.policy.tokens import (
    MAX_TOKENS,
    TokenRecord,
    digest_of,
    free_name,
    is_name,
    parsed,
    record_of,
    with_record,
    without,
    written,
)

NOW = datetime(2026, 11, 26, tzinfo=UTC)
NAMES = st.text(string.ascii_letters + string.digits + "._@:-", min_size=1, max_size=20).filter(is_name)


def record(name: str = "alice", token: str = "t", **more: object) -> TokenRecord:
    fields = {
        "name": name,
        "principal": "alice",
        "scopes": (READ, WRITE),
        "created_at": NOW,
        "sha256": digest_of(token),
    }
    return TokenRecord.model_validate({**fields, **more})


@given(
    names=st.lists(NAMES, unique=True, max_size=6),
    life=st.none() | st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    chat=st.text(string.ascii_letters, max_size=8),
)
def test_what_is_written_is_read_again(names: list[str], life: timedelta | None, chat: str) -> None:
    expires_at = None if life is None else NOW + life
    records = tuple(record(name, name, expires_at=expires_at, chat=chat) for name in names)
    text = written(records)
    assert parsed(text) == records
    assert parsed(f"# ours\n\n{text}") == records
    for name in names:
        found = record_of(records, name, NOW)
        assert (found is not None) is (life is None or life > timedelta(0))


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "x",
        '{"name":"a"}',
        written([record()]).replace('"name": "alice"', '"name": "-alice"').strip(),
        written([record()]).replace('"sha256": "', '"sha256": "zz').strip(),
        written([record()]).replace("ws:read", "ws:all").strip(),
        written([record()]).replace("}", ', "more": 1}').strip(),
    ],
)
def test_a_line_that_is_none_is_named_by_its_number_and_not_repeated(line: str) -> None:
    with pytest.raises(StateError, match="line 2 ") as caught:
        parsed(f"{written([record('first', 'secret')])}{line}\n")
    assert "zz" not in str(caught.value)


def test_two_of_one_name_and_too_many_are_refused() -> None:
    with pytest.raises(StateError, match="alike"):
        parsed(written([record(), record(token="other")]))
    with pytest.raises(StateError, match="more than"):
        parsed(written([record(f"a{n}", str(n)) for n in range(MAX_TOKENS + 1)]))


def test_a_token_that_writes_reads_too_and_one_that_reads_does_not_write() -> None:
    assert record(scopes=(WRITE,)).bearer == Principal(id=PrincipalId("alice"), scopes=SCOPES)
    assert record(scopes=(READ,), chat="c_x").bearer.scopes == {READ}
    assert record(chat="c_x").bearer.chat == "c_x"


def test_tokens_are_added_and_taken_away_by_name() -> None:
    records = with_record((), record())
    assert free_name(records, "alice") == "alice-2"
    assert free_name((*records, record("alice-2")), "alice") == "alice-3"
    assert free_name(records, "bob") == "bob"
    with pytest.raises(InvalidArgumentError, match="there is a token named 'alice'"):
        with_record(records, record())
    assert without(records, "alice") == ()
    with pytest.raises(InvalidArgumentError, match="there is no token named 'bob'"):
        without(records, "bob")
