"""Put loads on real servers and print what they showed: `python -m tests.load [--quick] [--minutes 20] [--write]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tests.bench import table
from tests.bench.ground import ROOT, host, machine, make_image
from tests.bench.table import Line
from tests.load import figures
from tests.load.chores import counts
from tests.load.crowd import OF_A_CHAT, exodus, open_crowd, storm
from tests.load.figures import Crowded
from tests.load.floods import GIB, flood
from tests.load.mixed import WARM_UP, mix
from tests.load.neighbours import Pressure, fare

RESULTS = ROOT / "bench-results"
PAGE = ROOT / "docs" / "soak.md"
FLOODS = 50
LISTED = 200  # lists, for a p99

PARTS = ("crowd", "floods", "neighbours", "mixed")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a part showed. `kept`: what goes into the JSON besides; `pictures`: SVG by the name of its file."""

    lines: list[Line]
    kept: Mapping[str, object] = field(default_factory=dict[str, object])
    pictures: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much: sizes of crowds in chats of `OF_A_CHAT`, the bytes of all floods together, seconds of a side."""

    crowd: int
    largest: int
    signals: int
    flooded: int
    rounds: int
    side_s: float
    minutes: float
    warm_up: int


FULL = Effort(crowd=10, largest=50, signals=10_000, flooded=100 * GIB, rounds=3, side_s=15, minutes=20, warm_up=WARM_UP)
QUICK = Effort(crowd=2, largest=3, signals=500, flooded=GIB, rounds=1, side_s=5, minutes=0.5, warm_up=30)


def main() -> int:
    """Load, print, keep; the exit code says whether every line holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, about two minutes: shows that it works")
    parser.add_argument("--minutes", type=float, help="of mixed work; 20, with --quick half a one")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="of mixed work and signals")
    parser.add_argument(
        "--without-engine", action="store_true", help="local workspaces only, although an engine answers"
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="this part only; may be repeated")
    parser.add_argument("--write", action="store_true", help="put the table and the pictures into docs/")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("--write puts all parts into the page: without --only")
    effort = QUICK if options.quick else FULL
    minutes = effort.minutes if options.minutes is None else options.minutes
    engine = not options.without_engine and _answers()
    where = machine() if engine else f"{host()}; no engine"
    if engine:
        make_image()
    parts: dict[str, Callable[[], Part]] = {
        "crowd": lambda: _crowd(effort, options.seed),
        "floods": lambda: _flood(effort),
        "neighbours": lambda: _neighbours(effort),
        "mixed": lambda: _mix(minutes, effort.warm_up, options.seed, engine=engine),
    }
    done = {name: _said(name, parts[name]) for name in options.only or parts}
    lines = [line for part in done.values() for line in part.lines]
    print(f"\n{where}\n\n{table.as_text(lines)}\n", flush=True)
    _keep(where, lines, done.values())
    if options.write:
        _write(where, lines, done.values())
    failed = sum(line.holds is False for line in lines)
    print(f"{failed} of {sum(line.holds is not None for line in lines)} claims do not hold" if failed else "all hold")
    return 1 if failed else 0


def _crowd(effort: Effort, seed: int) -> Part:
    """P04 at two sizes, and P14 with the smaller one."""
    with open_crowd() as crowd:
        crowd.grow(1)
        few, seconds = crowd.cost, crowd.grow(effort.crowd - 1)
        sizes = [
            Crowded(
                fewer=OF_A_CHAT,
                few=few,
                size=len(crowd.waiting),
                many=crowd.cost,
                seconds=seconds,
                lists=crowd.lists(LISTED),
            )
        ]
        _tell("signals")
        lines = figures.of_storm(storm(crowd, effort.signals, len(crowd.waiting) // 20, seed))
        crowd.grow(1)  # for those that the storm has ended
        lines += figures.of_exodus(exodus(crowd))
    with open_crowd() as crowd:
        _tell("a larger crowd")
        crowd.grow(1)
        few, seconds = crowd.cost, crowd.grow(effort.largest - 1)
        many = crowd.cost
        sizes.append(
            Crowded(
                fewer=OF_A_CHAT,
                few=few,
                size=len(crowd.waiting),
                many=many,
                seconds=seconds,
                lists=crowd.lists(LISTED),
            )
        )
    return Part(lines=[line for size in sizes for line in figures.of_crowd(size)] + lines)


def _flood(effort: Effort) -> Part:
    done = flood(FLOODS, effort.flooded // FLOODS, bound_s=3600)
    kept = {"wrong": done.wrong, "written": done.written.points, "resident": done.resident.points}
    return Part(lines=figures.of_floods(done), kept={"floods": kept}, pictures=figures.pictures_of_floods(done))


def _mix(minutes: float, warm_up: int, seed: int, *, engine: bool) -> Part:
    done = mix(minutes * 60, seed, engine=engine, warm_up=warm_up, show=_tell)
    kept = {
        "seed": seed,
        "wrong": done.wrong,
        "calls": counts(done.workers),
        "memory": {watch.name: watch.memory.points for watch in done.watches},
        "descriptors": {watch.name: watch.descriptors.points for watch in done.watches},
        "execds": done.daemons.points,
        "before": {watch.name: str(watch.before) for watch in done.watches},
        "after": {watch.name: str(watch.after) for watch in done.watches},
    }
    return Part(lines=figures.of_mixed(done), kept={"mixed": kept}, pictures=figures.pictures_of_mixed(done))


def _neighbours(effort: Effort) -> Part:
    words = {
        Pressure.HELD: "holds all it may have and asks for more",
        Pressure.HEEDING: "calls as fast as it may",
        Pressure.HAMMERING: "calls on without heeding refusals",
    }
    lines: list[Line] = []
    for pressure, name in words.items():
        _tell(name)
        fared = fare(effort.rounds, effort.side_s, pressure)
        lines += figures.of_neighbour(name, fared, is_claim=pressure is not Pressure.HAMMERING)
    return Part(lines=lines)


def _answers() -> bool:
    try:
        asked = subprocess.run(("docker", "version"), capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _said(name: str, part: Callable[[], T]) -> T:
    begin = time.monotonic()
    print(f"load: {name} ...", file=sys.stderr, flush=True)
    done = part()
    print(f"load: {name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return done


def _tell(what: str) -> None:
    print(f"load:   {what}", file=sys.stderr, flush=True)


def _keep(where: str, lines: list[Line], parts: Iterable[Part]) -> None:
    RESULTS.mkdir(exist_ok=True)
    commit = subprocess.run(("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=False)
    kept: dict[str, object] = {"commit": commit.stdout.strip(), "machine": where}
    kept |= {"lines": [dataclasses.asdict(line) for line in lines]}
    for part in parts:
        kept |= part.kept
    (RESULTS / f"load-{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(kept, indent=1) + "\n")


def _write(where: str, lines: list[Line], parts: Iterable[Part]) -> None:
    pictures = {name: drawn for part in parts for name, drawn in part.pictures.items()}
    for name, drawn in pictures.items():
        (PAGE.parent / "pictures" / f"{name}.svg").write_text(drawn)
    table.put(PAGE, "load", figures.page_of(where, lines, list(pictures)))


if __name__ == "__main__":
    sys.exit(main())
