"""A figure over time as SVG, on linear axes that begin at nothing (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.bench.fit import Point
from tests.bench.svg import BOTTOM, COLOURS, GRID, HEIGHT, LEFT, RIGHT, TOP, WIDTH, text, whole

TICKS = 4
MOST = 40  # points of a line: more would hardly be seen, and the documents have many pictures


def course(
    title: str,
    across: str,
    series: Mapping[str, Sequence[Point]],
    show_x: Callable[[float], str],
    show_y: Callable[[float], str],
) -> str:
    """One line for each series; every one has points, and one of them a value above 0."""
    every = [point for points in series.values() for point in points]
    longest, largest = max(point.x for point in every), max(point.y for point in every) * 1.1
    parts = [text(LEFT, 20, title, size=14), text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, anchor="middle")]

    def at(point: Point) -> tuple[float, float]:
        right, down = WIDTH - RIGHT - LEFT, HEIGHT - BOTTOM - TOP
        return LEFT + right * point.x / longest, HEIGHT - BOTTOM - down * point.y / largest

    grid = ""
    for tick in range(TICKS + 1):
        x, y = at(Point(longest * tick / TICKS, largest * tick / TICKS))
        grid += f"M{x:.0f} {TOP}V{HEIGHT - BOTTOM}M{LEFT} {y:.0f}H{WIDTH - RIGHT}"
        parts.append(text(x, HEIGHT - BOTTOM + 16, show_x(longest * tick / TICKS), anchor="middle"))
        parts.append(text(LEFT - 6, y + 4, show_y(largest * tick / TICKS), anchor="end"))
    parts.append(f'<path d="{grid}" stroke="{GRID}"/>')
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, _thinned(points)))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(text(LEFT + 10, TOP + 16 + 16 * number, name, colour=colour))
    return whole(WIDTH, HEIGHT, title, parts)


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Every so many of them, the last one included."""
    step = -(-len(points) // MOST)
    return [*points[:-1:step], points[-1]]
