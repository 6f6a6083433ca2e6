"""What a step gives: figures by name (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench import table

LIMIT_S = 60.0  # for an answer, and for a loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`value`: in seconds, bytes or a count, None where there is none to compare; `text`: as a person reads it."""

    value: float | None = None
    text: str = ""


Figures = dict[str, Figure]


def of_all(took: float, done: int, wanted: int) -> Figure:
    if done == wanted:
        return seconds(took)
    return Figure(value=took * wanted / max(done, 1), text=f"{done} of {wanted} within {LIMIT_S:.0f} s")


def seconds(value: float) -> Figure:
    return Figure(value=value, text=table.duration(value))


def size(value: float) -> Figure:
    return Figure(value=value, text=table.size(value))


def count(value: int) -> Figure:
    return Figure(value=value, text=str(value))
