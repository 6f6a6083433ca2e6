"""The arithmetic of the benchmark: a wrong quantile would make every claim worthless."""

from __future__ import annotations

import pytest

from tests.bench import table


@pytest.mark.parametrize(("part", "value"), [(0.0, 1), (0.5, 51), (0.95, 96), (1.0, 100)])
def test_a_quantile_is_one_of_the_values(part: float, value: float) -> None:
    assert table.quantile([float(number) for number in range(100, 0, -1)], part) == value


def test_a_ratio_at_its_target_holds_and_one_beyond_does_not() -> None:
    assert table.at_least("", "", "", 20.0, 20).holds
    assert not table.at_least("", "", "", 19.9, 20).holds
    assert table.at_most("", "", "", 4.0, 4).holds
    assert not table.at_most("", "", "", 4.1, 4).holds
    assert not table.below("", 0.5, 0.5, table.duration).holds


def test_both_forms_of_the_table_have_every_cell_of_every_line() -> None:
    lines = [table.below("memory", 5e6, 6e6, table.size), table.Line(name="only shown", ours="3 ms")]
    for text in (table.as_text(lines), table.as_markdown(lines)):
        for cell in ("memory", "5 MB", "< 6 MB", "yes", "only shown", "3 ms"):
            assert cell in text


def test_figures_read_well() -> None:
    assert table.duration(0.00123) == "1.23 ms"
    assert table.duration(2.5) == "2.5 s"
    assert table.size(-12_288) == "-12 kB"
    assert table.size(1.7e9) == "1,700 MB"
    assert table.rate(1234.5) == "1,234/s"
    assert table.rate(14.52) == "14.5/s"


def test_a_page_keeps_what_is_around_the_marks_and_one_without_them_is_refused() -> None:
    page = "before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n"
    assert table.between(page, "table", "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="no place for growth"):
        table.between(page, "growth", "new")


def test_few_bytes_are_counted_and_many_are_rounded() -> None:
    assert table.amount(1234) == "1,234 B"
    assert table.amount(250_000) == "250 kB"
