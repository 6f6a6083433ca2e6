"""The documented table of how a server ends, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_TABLE = re.compile(r"<!-- ends -->\n(?P<lines>.*?)<!-- /ends -->", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What happens to a server over one transport, and what becomes of the rest. `codes` is empty: it goes on."""

    what: str
    over: str
    local: str
    job: str
    call: str
    codes: frozenset[int]
    at_most_s: float

    def __str__(self) -> str:
        return f"{self.what} ({self.over})"


def documented() -> tuple[Row, ...]:
    """Each row, once for each transport that it is about."""
    found = _TABLE.search(PAGE.read_text())
    assert found, f"{PAGE.name} has no table"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found["lines"].splitlines()[2:]]
    return tuple(
        Row(
            what=what,
            over=over,
            local=local,
            job=job,
            call=call,
            codes=frozenset(map(int, re.findall(r"\d+", code))),
            at_most_s=float(at_most.removesuffix(" s")),
        )
        for what, overs, local, job, call, code, at_most in rows
        for over in overs.split(", ")
    )
