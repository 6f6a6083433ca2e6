"""Lines of the benchmark table, their statistics, and how they are printed: pure, but for `put`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Show = Callable[[float], str]
COLUMNS = ("line", "ours", "alternative", "ratio", "target", "holds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row; `holds` is None where nothing is claimed and the figure is only shown."""

    name: str
    ours: str
    alternative: str = ""
    ratio: str = ""
    target: str = ""
    holds: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        word = {True: "yes", False: "NO", None: ""}[self.holds]
        return (self.name, self.ours, self.alternative, self.ratio, self.target, word)


def at_least(name: str, ours: str, alternative: str, ratio: float, target: float) -> Line:
    """A ratio that must not be smaller."""
    return Line(
        name=name,
        ours=ours,
        alternative=alternative,
        ratio=f"{ratio:.3g}x",
        target=f">= {target:g}x",
        holds=ratio >= target,
    )


def at_most(name: str, ours: str, alternative: str, ratio: float, target: float) -> Line:
    """A ratio that must not be larger."""
    return Line(
        name=name,
        ours=ours,
        alternative=alternative,
        ratio=f"{ratio:.2f}x",
        target=f"<= {target:g}x",
        holds=ratio <= target,
    )


def below(name: str, value: float, limit: float, show: Show, note: str = "") -> Line:
    """A figure that must stay below a limit."""
    ours = f"{show(value)} {note}".strip()
    return Line(name=name, ours=ours, target=f"< {show(limit)}", holds=value < limit)


def quantile(values: Sequence[float], part: float) -> float:
    """The value at or below which `part` of all values are, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def p50(values: Sequence[float]) -> float:
    """The median; of two middle values the upper one."""
    return quantile(values, 0.5)


def p95(values: Sequence[float]) -> float:
    """At most 5 of 100 values are above it."""
    return quantile(values, 0.95)


def spread(values: Sequence[float]) -> str:
    """p50 and p95 of durations in seconds, as text."""
    return f"{duration(p50(values))} / {duration(p95(values))}"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def size(count: float) -> str:
    """Bytes as a person reads them."""
    if abs(count) < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:,.0f} MB" if count >= 1e8 else f"{count / 1e6:.3g} MB"


def amount(count: float) -> str:
    """Bytes that may be few."""
    return f"{count:,.0f} B" if abs(count) < 1e5 else size(count)


def rate(per_second: float) -> str:
    """Calls per second as a person reads them."""
    return f"{per_second:,.0f}/s" if per_second >= 100 else f"{per_second:.1f}/s"


def as_text(lines: Sequence[Line]) -> str:
    """Columns for a terminal."""
    return columns([COLUMNS, *(line.cells for line in lines)])


def as_markdown(lines: Sequence[Line]) -> str:
    """The same as a table of a page."""
    return markdown([COLUMNS, *(line.cells for line in lines)])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length, the head first, as columns for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(row).rstrip() for row in padded)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The same as a table of a page."""
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rest))


def between(page: str, name: str, text: str) -> str:
    """A page with the text between the marks of that name.

    Raises:
        ValueError: it has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, is_begun, rest = page.partition(begin)
    _, is_ended, after = rest.partition(end)
    if not (is_begun and is_ended):
        raise ValueError(f"the page has no place for {name}: {begin} and {end}")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def put(page: Path, name: str, text: str) -> None:
    """Write it into a page, between the marks of that name."""
    page.write_text(between(page.read_text(), name, text))
