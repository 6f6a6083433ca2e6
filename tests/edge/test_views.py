"""What an answer shows of texts that others wrote."""

from __future__ import annotations

import json

import pytest

from ws_mcp.edge.place_views import ContainersView
from ws_mcp.edge.views import LONGEST


@pytest.mark.parametrize("text", ["x" * 3000, 'a"' * 1500, '"' * 2001, "\\" * 2001, 'é\\"' * 700, "," * 2001])
def test_a_long_text_in_a_list_is_cut(text: str) -> None:
    values, shown = ContainersView(chat="c", workspaces=(), unknown=text).shown()
    assert values["unknown"] == f"{text[:LONGEST]} ..."
    assert json.loads(shown) == values


@pytest.mark.parametrize("text", ["x" * LONGEST, 'a"' * 1000, "\\" * LONGEST, '"",' * 600, "é" * LONGEST])
def test_a_text_that_is_not_too_long_stays_as_it_is(text: str) -> None:
    values, shown = ContainersView(chat="c", workspaces=(), unknown=text).shown()
    assert values["unknown"] == text
    assert json.loads(shown) == values
