"""What a run has found, and what many have come to, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.table import columns
from kills.plan import Fault, Moment, plan_of

RECONCILED_S = 10.0
COLUMNS = (
    "runs",
    "failed",
    "orphans",
    "foreign touched",
    "lost",
    "gaps",
    "repeated",
    "slowest until all was whole, from the restart",
)


@dataclass(kw_only=True)
class Findings:
    """One run. Each list names what broke a promise; `said_lost`: those that were lost and said so, as they must be."""

    seed: int
    orphans: list[str] = field(default_factory=list[str])
    foreign: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    gaps: list[str] = field(default_factory=list[str])
    repeated: list[str] = field(default_factory=list[str])
    other: list[str] = field(default_factory=list[str])
    processes: int = 0
    said_lost: int = 0
    started_s: float = 0.0  # until the next server answered its client
    reconciled_s: float = 0.0  # from then on, until nothing was half-made any more
    was_in_time: bool = False  # the fault came while the act went on
    seconds: float = 0.0

    @property
    def whole_s(self) -> float:
        """From the start of the next server until nothing was half-made any more."""
        return self.started_s + self.reconciled_s

    @property
    def broken(self) -> list[str]:
        """Every promise that was not kept, in words."""
        named = {
            "orphan": self.orphans,
            "foreign": self.foreign,
            "lost": self.lost,
            "gap": self.gaps,
            "repeated": self.repeated,
            "other": self.other,
        }
        words = [f"{what}: {text}" for what, texts in named.items() for text in texts]
        if self.whole_s > RECONCILED_S:
            words.append(f"slow: whole {self.whole_s:.1f} s after the restart, {self.started_s:.1f} s of that to start")
        return words

    def __str__(self) -> str:
        plan = plan_of(self.seed)
        said = "; ".join(self.broken) or "kept"
        again = f"\n  again: python -m kills.run --seed {self.seed}\n  {plan}" if self.broken else ""
        return f"seed {self.seed} ({plan}): {said}{again}"


def table(runs: Sequence[Findings]) -> str:
    """Faults as rows, with how often each moment was hit, and what was found."""
    moments = tuple(Moment)
    hits = [[*(_of(runs, fault, moment) for moment in moments)] for fault in Fault]
    head, *rows = summary(runs)
    whole = [(head[0], *(moment.value for moment in moments), *head[1:])]
    for row, hit in zip(rows, [*hits, [sum(column) for column in zip(*hits, strict=True)]], strict=True):
        whole.append((row[0], *map(str, hit), *row[1:]))
    return columns(whole)


def summary(runs: Sequence[Findings]) -> list[tuple[str, ...]]:
    """A head, a row for each fault, and one for all: what was found, without the moments."""
    faults = [_row(fault.value, [run for run in runs if plan_of(run.seed).fault is fault]) for fault in Fault]
    return [("fault", *COLUMNS), *faults, _row("all", list(runs))]


def _of(runs: Sequence[Findings], fault: Fault, moment: Moment) -> int:
    plans = [plan_of(run.seed) for run in runs]
    return sum(plan.fault is fault and plan.moment is moment for plan in plans)


def _row(name: str, runs: Sequence[Findings]) -> tuple[str, ...]:
    found = (
        len(runs),
        sum(bool(run.broken) for run in runs),
        sum(len(run.orphans) for run in runs),
        sum(len(run.foreign) for run in runs),
        sum(len(run.lost) for run in runs),
        sum(len(run.gaps) for run in runs),
        sum(len(run.repeated) for run in runs),
    )
    slowest = max((run.whole_s for run in runs), default=0.0)
    return (name, *map(str, found), f"{slowest:.1f} s")


def keep(path: Path, runs: Sequence[Findings], machine: str) -> None:
    """Add these to those of former times, for pages that are made of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    former = json.loads(path.read_text()) if path.exists() else []
    told = [
        {**asdict(run), "fault": plan.fault.value, "moment": plan.moment.value, "door": plan.door, "broken": run.broken}
        for run in runs
        for plan in (plan_of(run.seed),)
    ]
    former.append({"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, "runs": told})
    path.write_text(json.dumps(former, indent=1) + "\n")
