"""Growth curves as lines of the table and as pictures (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench import svg, table
from tests.bench.fit import Point, power_law, slope
from tests.bench.growth import PAGE, WHOLE_PAGE, Curves, Rest
from tests.bench.table import Line

END = 3  # points, whose exponent tells what the smallest sizes hide
LINEAR = 1.1  # an exponent up to here is called linear: the smallest sizes are mostly what a call costs anyway
LIST_S, PROCESS_BYTES = 0.1, 4096
NOISE_BYTES = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """All curves of one run. `containers`: empty without an engine. `rest`: by what was watched."""

    processes: Curves
    containers: Curves
    chats: Curves
    output: Curves
    rest: Mapping[str, Rest]


def lines_of(grown: Grown) -> list[Line]:
    """Each curve with its exponent, what one more costs, and what rest costs."""
    processes, containers, chats, output = grown.processes, grown.containers, grown.chats, grown.output
    last = processes["whole_p99"][-1]
    found = [
        _grows("processes started, until all run", "processes", processes["start"], table.duration),
        _grows(f"list_processes, the first {PAGE}", "processes", processes["first"], table.duration),
        _grows(f"list_processes, {WHOLE_PAGE} at most", "processes", processes["whole"], table.duration),
        table.below(
            f"list_processes, {WHOLE_PAGE} at most, p99 with {last.x:,.0f} processes", last.y, LIST_S, table.duration
        ),
        table.below("memory of the server for each process", slope(processes["server"]), PROCESS_BYTES, table.amount),
        Line(name="memory of execd for each process", ours=table.amount(slope(processes["execd"]))),
    ]
    if containers:
        found += [
            _grows("list_containers, all", "containers", containers["list"], table.duration),
            Line(name="memory of the server for each container", ours=table.amount(slope(containers["server"]))),
        ]
    found += [
        _grows("list_processes in one chat of many", "chats", chats["list"], table.duration),
        Line(name="memory of the server for each chat", ours=table.amount(slope(chats["server"]))),
        _grows("a process writes, until it ended", "bytes", output["write"], table.duration),
        _stays("memory of the server at its largest", output["server"]),
        _stays("memory of execd at its largest", output["execd"]),
    ]
    found += [
        Line(name=f"at rest, {name}", ours=f"{rest.cpu_ms:.0f} ms of CPU and {rest.wakes:.0f} wake-ups a minute")
        for name, rest in grown.rest.items()
    ]
    return found


def pictures_of(grown: Grown) -> dict[str, str]:
    """SVG by the name of its file, without the ending."""
    processes, output = grown.processes, grown.output
    lists = {
        f"list_processes, {PAGE}, of so many processes": processes["first"],
        f"list_processes, {WHOLE_PAGE}, of so many processes": processes["whole"],
        "list_processes in one of so many chats": grown.chats["list"],
    }
    memory = {"processes": processes["server"], "chats": grown.chats["server"]}
    if grown.containers:
        lists["list_containers of so many containers"] = grown.containers["list"]
        memory["containers"] = grown.containers["server"]
    written = {"until it ended": output["write"]}
    at_most = {"server": output["server"], "execd": output["execd"]}
    return {
        "growth-lists": svg.growth("A list, p50", "how many there are", _series(lists), _number, table.duration),
        "growth-starts": svg.growth(
            "Processes started by 50 callers",
            "processes",
            _series({"all run": processes["start"]}),
            _number,
            table.duration,
        ),
        "growth-memory": svg.growth("Memory of the server", "how many there are", _series(memory), _number, table.size),
        "growth-output": svg.growth("A process writes", "bytes", _series(written), table.size, table.duration),
        "growth-output-memory": svg.growth(
            "Memory at its largest while a process writes", "bytes", _series(at_most), table.size, table.size
        ),
    }


def page_of(where: str, grown: Grown, pictures: Sequence[str]) -> str:
    """What stands in the page: the machine with its load, the table, the pictures."""
    shown = "\n".join(f"![{name.replace('-', ' ')}](pictures/{name}.svg)" for name in pictures)
    return f"{where}\n\n{table.as_markdown(lines_of(grown))}\n\n{shown}"


def _grows(name: str, of_what: str, points: Sequence[Point], show: table.Show) -> Line:
    law, first, last = power_law(points), points[0], points[-1]
    return Line(
        name=f"{name}: {_number(first.x)} to {_number(last.x)} {of_what}",
        ours=f"{show(first.y)} to {show(last.y)}",
        ratio=f"exponent {law.exponent:.2f}, {power_law(points[-END:]).exponent:.2f} at the end",
        target=f"<= {LINEAR:g}",
        holds=law.exponent <= LINEAR,
    )


def _stays(name: str, points: Sequence[Point]) -> Line:
    smallest, largest = points[0], points[-1]
    grown = max(point.y for point in points) - smallest.y
    return Line(
        name=f"{name}: {_number(smallest.x)} to {_number(largest.x)} bytes",
        ours=f"{table.size(smallest.y)} to {table.size(largest.y)}",
        ratio=f"exponent {power_law(points).exponent:.2f}",
        target=f"grows < {table.size(NOISE_BYTES)}",
        holds=grown < NOISE_BYTES,
    )


def _series(curves: Mapping[str, Sequence[Point]]) -> list[svg.Series]:
    return [svg.Series(name=name, points=points, law=power_law(points)) for name, points in curves.items()]


def _number(value: float) -> str:
    return f"{value:,.0f}"
