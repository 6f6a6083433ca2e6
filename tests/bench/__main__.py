"""Run the benchmark and print its table: `python -m tests.bench [--quick] [--growth] [--hosts] [--setup] [--write]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tests.bench import growth, hosts, table
from tests.bench.changes import measure_told, measure_watched
from tests.bench.definitions import measure_definitions
from tests.bench.devcontainers import measure_devcontainers
from tests.bench.flood import measure_flood
from tests.bench.footprint import measure_execd_on_disk, measure_server, measure_set_up
from tests.bench.gate import measure_gate
from tests.bench.ground import ROOT, Ground, machine, open_ground
from tests.bench.grown import Grown, lines_of, page_of, pictures_of
from tests.bench.growth import (
    Rest,
    Sizes,
    grow_chats,
    grow_containers,
    grow_output,
    grow_processes,
    open_local,
    rest_of,
)
from tests.bench.many import measure_hundred, measure_thousand
from tests.bench.noop import measure_noop
from tests.bench.starts import measure_callers, measure_starts
from tests.bench.table import Line
from tests.bench.workspaces import LISTED, measure_fifty, measure_list, measure_one

RESULTS = ROOT / "bench-results"
PAGE = ROOT / "docs" / "benchmarks.md"
HOSTS_PAGE = ROOT / "docs" / "many-hosts.md"
HOSTS_ROUNDS = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured: the quick form says roughly the same in under two minutes."""

    rounds: int
    floods: int
    megabytes: int
    starts: int
    living: int
    workspaces: int
    fifties: int
    recreates: int
    growth: Sizes


FULL = Effort(
    rounds=8, floods=5, megabytes=1000, starts=7, living=1000, workspaces=12, fifties=3, recreates=5, growth=growth.FULL
)
QUICK = Effort(
    rounds=3, floods=3, megabytes=1000, starts=3, living=1000, workspaces=3, fifties=1, recreates=3, growth=growth.QUICK
)


def main() -> int:
    """Measure, print, keep; the exit code says whether every line holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under two minutes")
    parser.add_argument("--growth", action="store_true", help="only the growth curves; with --quick, small ones")
    parser.add_argument("--hosts", action="store_true", help="only the lines about three hosts (root; two minutes)")
    parser.add_argument("--setup", action="store_true", help="also the set-up of a clean clone (about a minute more)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/")
    options = parser.parse_args()
    if options.hosts:
        return _on_hosts(is_written=options.write)
    where = machine()
    effort = QUICK if options.quick else FULL
    lines: list[Line] = []
    grown: Grown | None = None
    with open_ground() as ground:
        if not options.growth:
            lines += _measure(ground, effort)
        if options.growth or not options.quick:
            grown = _grow(ground, effort.growth)
    if not options.growth and not options.quick:
        lines += _said("three hosts", lambda: hosts.measure_hosts(HOSTS_ROUNDS))
    lines += measure_set_up() if options.setup else []
    everything = lines + (lines_of(grown) if grown else [])
    print(f"\n{where}\n\n{table.as_text(everything)}\n", flush=True)
    _keep(where, everything, grown)
    if options.write and lines:
        table.put(PAGE, "table", f"{where}\n\n{table.as_markdown(lines)}")
    if options.write and grown:
        _draw(where, grown)
    return _judged(everything)


def _judged(lines: list[Line]) -> int:
    """Say how many claims do not hold, as the exit code does."""
    failed = sum(line.holds is False for line in lines)
    print(f"{failed} of {sum(line.holds is not None for line in lines)} claims do not hold" if failed else "all hold")
    return 1 if failed else 0


def _on_hosts(*, is_written: bool) -> int:
    where = hosts.machine()
    lines = _said("three hosts", lambda: hosts.measure_hosts(HOSTS_ROUNDS))
    print(f"\n{where}\n\n{table.as_text(lines)}\n", flush=True)
    if lines:
        _keep(where, lines, None)
    if is_written and lines:
        table.put(HOSTS_PAGE, "hosts", f"{where}\n\n{table.as_markdown(lines)}")
    return _judged(lines)


def _measure(ground: Ground, effort: Effort) -> list[Line]:
    lines: list[Line] = []
    for name, part in _parts(ground, effort).items():
        lines += _said(name, part)
    return lines


def _grow(ground: Ground, sizes: Sizes) -> Grown:
    return Grown(
        processes=_said("growth with processes", lambda: grow_processes(sizes.processes)),
        containers=_said("growth with containers", lambda: grow_containers(ground, sizes.containers)),
        chats=_said("growth with chats", lambda: grow_chats(sizes.chats)),
        output=_said("growth with output", lambda: grow_output(sizes.output)),
        rest=_said("the server at rest", lambda: _rest(ground, sizes.idle_s)),
    )


def _rest(ground: Ground, seconds: float) -> dict[str, Rest]:
    with open_local() as local:
        found = {"without an engine": rest_of(local, seconds)}
    with ground.open_place():
        found["with an engine and a workspace"] = rest_of(ground.ours, seconds)
    return found


def _said(name: str, part: Callable[[], T]) -> T:
    begin = time.perf_counter()
    print(f"measuring {name} ...", end=" ", file=sys.stderr, flush=True)
    done = part()
    print(f"{time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return done


def _parts(ground: Ground, effort: Effort) -> dict[str, Callable[[], list[Line]]]:
    def starts() -> list[Line]:
        with ground.open_place() as place:
            return [*measure_starts(ground, place, effort.rounds), *measure_callers(ground, place, effort.rounds)]

    return {
        "starts": starts,
        "the gate": lambda: measure_gate(ground, effort.rounds),
        "a tool that does nothing": lambda: measure_noop(effort.rounds),
        "subscribers": lambda: [*measure_told(ground, effort.rounds), *measure_watched(ground, effort.rounds)],
        "a hundred at once": lambda: measure_hundred(ground, effort.rounds),
        "a thousand living": lambda: measure_thousand(ground, effort.living),
        "a flood of output": lambda: measure_flood(ground, effort.floods, effort.megabytes),
        "the server at rest": lambda: measure_server(ground, effort.starts),
        "a workspace": lambda: measure_one(ground, effort.workspaces),
        "fifty workspaces at once": lambda: measure_fifty(ground, effort.fifties),
        "two hundred containers": lambda: measure_list(ground, LISTED),
        "definitions of dev containers": measure_definitions,
        "dev containers": lambda: measure_devcontainers(ground, effort.recreates),
        "execd on disk": measure_execd_on_disk,
    }


def _draw(where: str, grown: Grown) -> None:
    pictures = pictures_of(grown)
    for name, drawn in pictures.items():
        (PAGE.parent / "pictures" / f"{name}.svg").write_text(drawn)
    table.put(PAGE, "growth", page_of(where, grown, list(pictures)))


def _keep(where: str, lines: list[Line], grown: Grown | None) -> None:
    RESULTS.mkdir(exist_ok=True)
    commit = subprocess.run(("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=False)
    kept = {
        "commit": commit.stdout.strip(),
        "machine": where,
        "lines": [dataclasses.asdict(line) for line in lines],
        "growth": dataclasses.asdict(grown) if grown else None,
    }
    (RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
