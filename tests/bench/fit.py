"""How a figure grows: a power law by least squares on logarithms, and a line for memory (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """How many, and what it cost."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """y = factor * x ** exponent: 0 does not grow, 1 grows in step, 2 with the square."""

    exponent: float
    factor: float

    def at(self, x: float) -> float:
        """What it says for a positive x."""
        return self.factor * x**self.exponent


def power_law(points: Sequence[Point]) -> Law:
    """The law that is nearest on logarithmic axes.

    Raises:
        ValueError: fewer than two different x, or a value that is not above 0.
    """
    if any(point.x <= 0 or point.y <= 0 for point in points):
        raise ValueError("a power law needs values above 0")
    slope, rest = _nearest([Point(math.log(point.x), math.log(point.y)) for point in points])
    return Law(exponent=slope, factor=math.exp(rest))


def slope(points: Sequence[Point]) -> float:
    """What one more costs: the slope of the nearest straight line.

    Raises:
        ValueError: fewer than two different x.
    """
    return _nearest(points)[0]


def _nearest(points: Sequence[Point]) -> tuple[float, float]:
    if len({point.x for point in points}) < 2:
        raise ValueError("a fit needs two different points")
    middle_x = sum(point.x for point in points) / len(points)
    middle_y = sum(point.y for point in points) / len(points)
    spread = sum((point.x - middle_x) ** 2 for point in points)
    found = sum((point.x - middle_x) * (point.y - middle_y) for point in points) / spread
    return found, middle_y - found * middle_x
