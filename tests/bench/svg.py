"""Plots as SVG, written by hand (pure): growth on logarithmic axes, and bars. They read on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tests.bench.fit import Law, Point

# Middle tones: legible on white and on black alike.
INK, GRID, OURS, THEIRS = "#7d8590", "#7d859055", "#2f81f7", "#b08800"
COLOURS = (OURS, THEIRS, "#3fb950", "#db61a2")
LEFT, TOP, RIGHT, BOTTOM = 76, 34, 24, 46  # around the axes, in pixels
WIDTH, HEIGHT = 640, 340
BAR = 22  # pixels of one bar with its gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Measured points, and the law that was fitted to them."""

    name: str
    points: Sequence[Point]
    law: Law


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar; without a `value` only its `text` is written."""

    name: str
    value: float | None
    text: str
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """Positive values from `low` to `high`, both powers of ten, on pixels from `begin` to `end`."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        part = math.log10(value / self.low) / math.log10(self.high / self.low)
        return self.begin + part * (self.end - self.begin)

    @property
    def decades(self) -> Iterator[float]:
        """The powers of ten that it shows."""
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        return (10.0**power for power in range(first, last + 1))


def axis_of(values: Sequence[float], begin: float, end: float) -> Axis:
    """An axis of whole decades, at least one, around values above 0."""
    low = math.floor(math.log10(min(values)))
    high = max(math.ceil(math.log10(max(values))), low + 1)
    return Axis(10.0**low, 10.0**high, begin, end)


def growth(
    title: str, across: str, series: Sequence[Series], show_x: Callable[[float], str], show_y: Callable[[float], str]
) -> str:
    """Points and fitted lines, both axes logarithmic."""
    every = [point for one in series for point in one.points]
    x = axis_of([point.x for point in every], LEFT, WIDTH - RIGHT)
    y = axis_of([point.y for point in every], HEIGHT - BOTTOM, TOP)
    parts = [text(LEFT, 20, title, size=14), text((x.begin + x.end) / 2, HEIGHT - 8, across, anchor="middle")]
    for value in x.decades:
        parts.append(line(x.at(value), y.begin, x.at(value), y.end, GRID))
        parts.append(text(x.at(value), y.begin + 16, show_x(value), anchor="middle"))
    for value in y.decades:
        parts.append(line(x.begin, y.at(value), x.end, y.at(value), GRID))
        parts.append(text(x.begin - 6, y.at(value) + 4, show_y(value), anchor="end"))
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        parts += _fitted(one, x, y, colour)
        words = f"{one.name}: exponent {one.law.exponent:.2f}"
        parts.append(text(x.begin + 10, TOP + 16 + 16 * number, words, colour=colour))
    return whole(WIDTH, HEIGHT, title, parts)


def bars(title: str, rows: Sequence[Bar]) -> str:
    """One bar a row, its length logarithmic: from a tenth of the smallest value to the largest."""
    values = [row.value for row in rows if row.value]
    left, height = 170, TOP + BAR * len(rows) + 10
    room = WIDTH - left - 150
    low = min(values, default=1) / 10
    span = math.log10(max(values, default=1) / low)
    parts = [text(10, 20, title, size=14)]
    for number, row in enumerate(rows):
        top, colour = TOP + BAR * number, OURS if row.is_ours else THEIRS
        length = room * math.log10(row.value / low) / span if row.value else 0
        parts.append(text(left - 8, top + 14, row.name, anchor="end"))
        parts.append(f'<rect x="{left}" y="{top + 2}" width="{length:.1f}" height="{BAR - 6}" fill="{colour}"/>')
        parts.append(text(left + length + 6, top + 14, row.text))
    return whole(WIDTH, height, title, parts)


def _fitted(one: Series, x: Axis, y: Axis, colour: str) -> Iterator[str]:
    ends = [min(point.x for point in one.points), max(point.x for point in one.points)]
    heights = [min(max(one.law.at(end), y.low), y.high) for end in ends]
    yield line(*(x.at(ends[0]), y.at(heights[0]), x.at(ends[1]), y.at(heights[1])), colour, dash="5 4")
    for point in one.points:
        yield f'<circle cx="{x.at(point.x):.1f}" cy="{y.at(point.y):.1f}" r="3.5" fill="{colour}"/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = INK) -> str:
    """Words beside, around or before a point."""
    shown = f'text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {shown}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dash: str = "") -> str:
    """From one point to another."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'


def whole(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """The picture with all its parts."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" role="img"><title>{escape(title)}</title>'
    )
    return "\n".join((head, *parts, "</svg>")) + "\n"
