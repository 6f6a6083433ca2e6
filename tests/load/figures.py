"""What loads showed, as lines of a table that say which promise holds, and as pictures (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.bench import table
from tests.bench.course import course
from tests.bench.fit import Point
from tests.bench.table import Line
from tests.load.crowd import Cost, Storm
from tests.load.floods import RINGS, Flooded
from tests.load.mixed import Mixed
from tests.load.neighbours import Fared

MIB = 1 << 20
RATE, RSS, EACH, DESCRIPTORS, LIST_S = 100.0, 300 * MIB, 4096, 4.0, 0.1
ANSWERED_S, OFFERED_S = 15.0, 10.0
LAG_S, BEYOND = 0.1, 32 * MIB
TIMES = 2.0
ENOUGH = 5000  # calls; of fewer what is cached once weighs too much


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowded:
    """A crowd of one size. `few`: the cost of `fewer` processes, to tell what one more costs."""

    fewer: int
    few: Cost
    size: int
    many: Cost
    seconds: float
    lists: Sequence[float]

    def each(self, name: str) -> float:
        """What one more process costs."""
        return (getattr(self.many, name) - getattr(self.few, name)) / (self.size - self.fewer)


def of_crowd(crowd: Crowded) -> list[Line]:
    """P04."""
    many, rate = f"{crowd.size:,} processes", (crowd.size - crowd.fewer) / crowd.seconds
    threads = crowd.many.server_threads - crowd.few.server_threads
    return [
        Line(name=f"P04 {many} started", ours=table.rate(rate), target=f">= {table.rate(RATE)}", holds=rate >= RATE),
        table.below(f"P04 {many}: memory of the server", crowd.many.server_bytes, RSS, table.size),
        table.below(f"P04 {many}: memory of the server for each", crowd.each("server_bytes"), EACH, table.amount),
        Line(name=f"{many}: memory of all execds for each", ours=table.amount(crowd.each("execd_bytes"))),
        _most(f"P04 {many}: descriptors of server and execds for each", crowd.each("descriptors"), DESCRIPTORS),
        Line(
            name=f"P04 {many}: threads of the server more than with {crowd.fewer:,}",
            ours=f"{threads}",
            target="none for each",
            holds=threads < (crowd.size - crowd.fewer) / 10,
        ),
        table.below(
            f"P04 {many}: list_processes, p99",
            table.quantile(crowd.lists, 0.99),
            LIST_S,
            table.duration,
            f"(p50 {table.duration(table.p50(crowd.lists))})",
        ),
    ]


def of_storm(done: Storm) -> list[Line]:
    """P14: signals. Offered at a thousand a second, the last is answered in time by `OFFERED_S` + `ANSWERED_S`."""
    name = f"P14 {done.calls:,} signals"
    return [
        _none(f"{name}: wrong answers and lost exit codes", done.wrong),
        table.below(f"{name}: until the last answer", done.seconds, OFFERED_S + ANSWERED_S, table.duration),
        table.below(f"{name}: slowest answer", done.slowest_s, ANSWERED_S, table.duration),
    ]


def of_exodus(done: Storm) -> list[Line]:
    """P14: exits."""
    name = f"P14 {done.calls:,} exits at once, each waited for"
    return [
        _none(f"{name}: lost or wrong exit codes", done.wrong),
        table.below(f"{name}: slowest answer", done.slowest_s, ANSWERED_S, table.duration),
    ]


def of_floods(done: Flooded) -> list[Line]:
    """P05."""
    name, total = f"P05 {done.count} floods", done.count * done.size
    slowest = table.quantile(done.beside, 0.99)
    return [
        Line(name=f"{name}: {total / (1 << 30):,.0f} GiB in all", ours=f"{table.size(total / done.seconds)}/s"),
        _none(f"{name}: wrong offsets, counts of drops, texts", done.wrong),
        table.below(f"{name}: the server grows by", done.server_most - done.server_before, BEYOND, table.size),
        table.below(
            f"{name}: execd grows by", done.execd_most - done.execd_before, done.count * RINGS + BEYOND, table.size
        ),
        table.below(
            f"{name}: other calls, p99",
            slowest,
            LAG_S,
            table.duration,
            f"(quiet {table.duration(table.quantile(done.quiet, 0.99))})",
        ),
    ]


def of_neighbour(name: str, fared: Fared, *, is_claim: bool = True) -> list[Line]:
    """P16."""
    slow, quick = table.quantile(fared.beside, 0.99), table.quantile(fared.quiet, 0.99)
    line = table.at_most(
        f"P16 p99 of others beside a chat that {name} / quiet",
        table.duration(slow),
        table.duration(quick),
        slow / quick,
        TIMES,
    )
    if not is_claim:
        line = Line(name=line.name, ours=line.ours, alternative=line.alternative, ratio=line.ratio)
    asked = Line(
        name=f"a chat that {name}: its calls, and how many were refused", ours=f"{fared.asked:,}, {fared.refused:,}"
    )
    return [line, asked, _none(f"P16 a chat that {name}: others refused, or too much granted", fared.wrong)]


def of_mixed(done: Mixed) -> list[Line]:
    """P15."""
    name = f"P15 {done.calls:,} mixed calls in {done.seconds / 60:.0f} min (seed {done.seed})"
    lines = [_none(f"{name}: wrong answers", done.wrong)]
    for watch in done.watches:
        of = f"server over {watch.name}"
        lines += [
            _slope(f"P15 {of}: memory for 10,000 calls more", watch.growth, done.calls),
            _none(f"P15 {of}: descriptors, threads, tasks, execds, files, objects more than before", watch.above),
        ]
    return lines


def pictures_of_mixed(done: Mixed) -> Mapping[str, str]:
    """SVG by the name of its file, without the ending."""
    memory = {f"server over {watch.name}": watch.memory.points for watch in done.watches}
    descriptors = {f"server over {watch.name}": watch.descriptors.points for watch in done.watches}
    return {
        "soak-memory": course("Memory over mixed work", "minutes", memory, _minutes, table.size),
        "soak-descriptors": course("Open descriptors over mixed work", "minutes", descriptors, _minutes, _count),
    }


def pictures_of_floods(done: Flooded) -> Mapping[str, str]:
    """The same."""
    rates, resident = {"all of them": _rates(done)}, {"server and execd": done.resident.points}
    return {
        "soak-floods": course(f"{done.count} floods: bytes a second", "seconds", rates, _count, table.size),
        "soak-flood-memory": course("Memory while they write", "seconds", resident, _count, table.size),
    }


def page_of(where: str, lines: Sequence[Line], pictures: Sequence[str]) -> str:
    """What stands in the page: the machine with its load, the table, the pictures."""
    shown = "\n".join(f"![{name.replace('-', ' ')}](pictures/{name}.svg)" for name in pictures)
    return f"{where}\n\n{table.as_markdown(lines)}\n\n{shown}"


def _rates(floods: Flooded) -> Sequence[Point]:
    noted = [Point(0, 0), *(point for point in floods.written.points if point.x > 0)]
    return [Point(new.x, max(0.0, (new.y - old.y) / (new.x - old.x))) for old, new in pairwise(noted)]


def _slope(name: str, growth: float, calls: int) -> Line:
    """A claim only where there were enough calls to tell."""
    line = table.below(name, growth, MIB, table.amount)
    return line if calls >= ENOUGH else Line(name=name, ours=f"{line.ours} (of {calls:,} calls: too few to tell)")


def _none(name: str, wrong: Sequence[str]) -> Line:
    first = f" ({wrong[0][:120].replace('|', '/')})" if wrong else ""
    return Line(name=name, ours=f"{len(wrong)}{first}", target="0", holds=not wrong)


def _most(name: str, value: float, limit: float) -> Line:
    return Line(name=name, ours=f"{value:.2f}", target=f"<= {limit:g}", holds=value <= limit)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.3g}"


def _count(value: float) -> str:
    return f"{value:,.0f}"
