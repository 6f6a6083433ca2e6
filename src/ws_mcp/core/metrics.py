"""Counts of what goes on in this server, and how they are written for Prometheus (pure).

Labels have few values, all of them our own words: never a chat, a principal, an id, or what a caller wrote.
Source: the Prometheus text exposition format, version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

PREFIX = "ws_mcp_"
SERIES = 2000  # of one metric; more is a mistake of ours, and must not cost memory for ever
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 45.0)

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One figure that is looked up when somebody asks."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class _Spread:
    """How long things took: how many were at most as long as each bound, all of them, and their sum."""

    within: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_S))
    count: int = 0
    total: float = 0.0


class Metrics:
    """The counters and durations of a process."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Labels, float]] = {}
        self._spreads: dict[str, dict[Labels, _Spread]] = {}
        self._texts: dict[str, str] = {}

    def count(self, name: str, text: str, **labels: str) -> None:
        """One more."""
        self._texts[name] = text
        series = self._counts.setdefault(name, {})
        key = tuple(labels.items())
        if key in series or len(series) < SERIES:
            series[key] = series.get(key, 0) + 1

    def observe(self, name: str, text: str, seconds: float, **labels: str) -> None:
        """One more that took so long."""
        self._texts[name] = text
        series = self._spreads.setdefault(name, {})
        key = tuple(labels.items())
        if key not in series and len(series) >= SERIES:
            return
        spread = series.setdefault(key, _Spread())
        spread.count += 1
        spread.total += seconds
        for place, bound in enumerate(BOUNDS_S):
            spread.within[place] += seconds <= bound

    def value(self, name: str, **labels: str) -> float:
        """A counter as it is."""
        return self._counts.get(name, {}).get(tuple(labels.items()), 0)

    def written(self, samples: Iterable[Sample] = ()) -> str:
        """All of it as text, `samples` as gauges."""
        lines: list[str] = []
        for name, series in sorted(self._counts.items()):
            lines += _head(name, self._texts[name], "counter")
            lines += [_line(name, key, value) for key, value in series.items()]
        for name, spreads in sorted(self._spreads.items()):
            lines += _head(name, self._texts[name], "histogram")
            for key, spread in spreads.items():
                lines += _histogram(name, key, spread)
        said: set[str] = set()
        for sample in sorted(samples, key=lambda sample: sample.name):
            if sample.name not in said:
                lines += _head(sample.name, sample.text, "gauge")
                said.add(sample.name)
            lines.append(_line(sample.name, tuple(sample.labels.items()), sample.value))
        return "\n".join((*lines, ""))


METRICS = Metrics()
"""Those of this process."""


def _head(name: str, text: str, kind: Literal["counter", "histogram", "gauge"]) -> list[str]:
    return [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} {kind}"]


def _histogram(name: str, labels: Labels, spread: _Spread) -> list[str]:
    bounds = [*((f"{bound:g}", count) for bound, count in zip(BOUNDS_S, spread.within, strict=True))]
    lines = [_line(f"{name}_bucket", (*labels, ("le", bound)), count) for bound, count in bounds]
    lines.append(_line(f"{name}_bucket", (*labels, ("le", "+Inf")), spread.count))
    return [*lines, _line(f"{name}_sum", labels, spread.total), _line(f"{name}_count", labels, spread.count)]


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{PREFIX}{name}{{{inner}}} {value:.10g}" if inner else f"{PREFIX}{name} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
