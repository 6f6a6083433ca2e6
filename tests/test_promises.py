"""Each promise names the tests that show it, or says that none does, and each test that is named exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "promises.md").read_text()
ROWS = re.findall(r"^\| (P\d\d) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def test_every_promise_has_a_row() -> None:
    assert [promise for promise, _, _ in ROWS] == [f"P{number:02}" for number in range(1, 22)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_promise_names_what_shows_it_or_says_that_nothing_does(row: tuple[str, str, str]) -> None:
    assert row[2] == "not shown" or "::test_" in row[2]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in functions, f"{file} has no {name}: docs/promises.md has to say what shows the promise now"
