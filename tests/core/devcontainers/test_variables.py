"""Variables in Dockerfiles and compose files."""

from __future__ import annotations

import pytest

from ws_mcp.core.devcontainers.variables import substituted, variables_of, without_comments

VALUES = {"A": "a", "EMPTY": "", "OPEN": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x$A/${A}", "xa/a"),
        ("$$A \\$A", "$A $A"),
        ("${A:-b}${A-b}", "aa"),
        ("${EMPTY:-b}|${EMPTY-b}", "b|"),
        ("${NONE:-b}${NONE-b}${NONE:-}", "bb"),
        ("${A:+b}|${EMPTY:+b}|${NONE:+b}", "b||"),
        ("${A:?why}", "a"),
        ("$NONE", None),
        ("${NONE:?why}", None),
        ("${OPEN:-b}", None),
        ("$ 5$", "$ 5$"),
    ],
)
def test_variables_are_put_in_or_the_text_is_not_known(text: str, expected: str | None) -> None:
    assert substituted(text, VALUES) == expected


def test_an_env_file_sets_what_its_last_lines_say() -> None:
    text = "A=1\n# B=2\nexport C = x # why\nD='q # r'\nE=\"\"\nA=2\nnonsense\n"
    assert variables_of(text) == {"A": "2", "C": "x", "D": "q # r", "E": ""}


def test_comments_of_an_env_file_do_not_count_but_for_values_over_several_lines() -> None:
    assert without_comments("# a\n\nA=1\n  # b\nB=2") == without_comments("A=1\nB=2\n")
    assert without_comments('A="1\n# in it\n"') != without_comments('A="1\n"')
