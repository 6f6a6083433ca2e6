"""What the table of peers says of us is what the figures say."""

from __future__ import annotations

import pytest

from tests.bench.peers.figures import Figure, Figures
from tests.bench.peers.rows import ROWS, Row, table_of, verdict

ROW = Row(key="start", title="start", why="for a reason")


def figures(value: float | None) -> Figures:
    return {} if value is None else {"start": Figure(value=value, text=f"{value:g}")}


@pytest.mark.parametrize(
    ("ours", "peers", "said"),
    [
        (1.0, {"a": 2.0, "b": 5.0}, "ahead: 2.0x"),
        (4.0, {"a": 2.0, "b": 5.0}, "behind a: 2.0x. for a reason"),
        (4.0, {"a": 2.0, "b": 3.0}, "behind a and 1 more: 2.0x. for a reason"),
        (1.0, {"a": 1.05}, "level with a"),
        (0.0, {"a": 4.0}, "ahead"),
        (0.0, {"a": 0.0}, "level with a"),
        (2.0, {"a": 0.0}, "behind a: 2 to 0. for a reason"),
        (1.0, {"a": None}, "ahead: nobody else has it"),
        (None, {"a": 1.0}, "not measured"),
    ],
)
def test_a_row_says_who_is_ahead_and_by_how_much(ours: float | None, peers: dict[str, float | None], said: str) -> None:
    assert verdict(ROW, [figures(ours)], {name: figures(value) for name, value in peers.items()}) == said


def test_the_better_of_ours_counts() -> None:
    assert verdict(ROW, [figures(4), figures(1)], {"a": figures(2)}) == "ahead: 2.0x"


def test_the_table_has_a_cell_of_every_side_in_every_row_whatever_failed() -> None:
    head, *rows = table_of({"ours": figures(1), "a": {"failed: start": Figure(text="it hung")}}, ["ours"])
    assert head == ("", "ours", "a", "ours against the best peer")
    assert len(rows) == len(ROWS)
    assert all(len(row) == len(head) for row in rows)
    start = next(row for row in rows if row[0].startswith("start:"))
    assert start[1:] == ("1", "failed", "ahead: nobody else has it")
