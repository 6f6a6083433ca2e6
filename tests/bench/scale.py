"""Many hosts on fake engines: `python -m tests.bench.scale [--hosts 100] [--workspaces 100]` prints a table.

One server's own code, from the kept lists up, on a swarm in memory and in virtual time: what it asks of managers, of
engines and of the state database, and how long the processor is at it. That time has that of the fakes in it, and lacks
what a real engine adds: its socket and the reading of its JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from support.virtual_clock import virtual_clock

from tests.bench import table
from tests.bench.cluster import ManyNodes, open_many

HOSTS, WORKSPACES = 100, 100
NOTICED_S = 1.0  # after which what an event led to is over
QUIET_S = 300.0  # one sweep of each node is in it, and one inspection of each container
LISTS = 100
HEAD = ("what", "managers", "engines", "of these, inspections", "state", "processor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one thing takes: calls to managers and engines, transactions, and seconds of this process."""

    name: str
    managers: float
    engines: float
    inspections: float
    state: float
    cpu_s: float

    def over(self, times: float, name: str) -> Cost:
        """What it is each time."""
        return Cost(
            name=name,
            managers=self.managers / times,
            engines=self.engines / times,
            inspections=self.inspections / times,
            state=self.state / times,
            cpu_s=self.cpu_s / times,
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        calls = (self.managers, self.engines, self.inspections, self.state)
        return (self.name, *(f"{count:,.6g}" for count in calls), table.duration(self.cpu_s))


async def simulate(directory: Path, hosts: int, workspaces: int) -> dict[str, Cost]:
    """Every control path once, by a short name."""
    async with open_many(directory, hosts, workspaces) as many:
        return {
            "first": await _cost(many, "the first looks of a server", lambda: _begin(many)),
            "list": (await _cost(many, "", lambda: _lists(many))).over(LISTS, "the list of one chat"),
            "change": await _cost(many, "one container ends: looked at, and the list put together", lambda: _end(many)),
            "quiet": (await _cost(many, "", lambda: anyio.sleep(QUIET_S))).over(QUIET_S / 60, "a quiet minute"),
            "upkeep": await _cost(many, "the upkeep of rooms, each minute", many.placement.upkeep.look),
            "lost": await _cost(many, "one node is lost", lambda: _lose(many, 1)),
            "lost minute": await _cost(many, "a minute with one node lost", lambda: anyio.sleep(60)),
            "all lost": await _cost(many, "every node but the managers is lost", lambda: _lose(many, hosts)),
            "all": await _cost(many, "the list of everything, for an operator", many.placement.workspaces.list_all),
        }


async def _cost(many: ManyNodes, name: str, act: Callable[[], Awaitable[object]]) -> Cost:
    counts = many.counts
    before = (counts.managers.total(), counts.engines.total(), counts.engines["inspect"], counts.state)
    began = time.process_time()
    await act()
    took = time.process_time() - began
    after = (counts.managers.total(), counts.engines.total(), counts.engines["inspect"], counts.state)
    managers, engines, inspections, state = (now - then for now, then in zip(after, before, strict=True))
    return Cost(name=name, managers=managers, engines=engines, inspections=inspections, state=state, cpu_s=took)


async def _begin(many: ManyNodes) -> None:
    """Two of each node: what happened before events could be heard need not have been seen."""
    await many.placement.watch.list()
    await anyio.sleep(NOTICED_S)
    await many.placement.watch.list()


async def _lists(many: ManyNodes) -> None:
    for number in range(LISTS):
        scope = many.scopes[number % len(many.scopes)]
        assert (await many.placement.watch.list()).of(scope), f"{scope} has lost its workspaces"


async def _end(many: ManyNodes) -> None:
    engine = next(iter(many.swarm.engine_of.values()))
    await engine.die(next(iter(engine.containers)), 1)
    await anyio.sleep(NOTICED_S)
    await many.placement.watch.list()


async def _lose(many: ManyNodes, count: int) -> None:
    """Workers first come last: three managers go on."""
    names = [node.hostname for node in many.swarm.nodes.values() if not node.is_manager and node.is_ready]
    for hostname in names[-count:]:
        await many.swarm.lose(hostname)
    await anyio.sleep(NOTICED_S)
    await many.placement.watch.list()


def run(hosts: int, workspaces: int) -> dict[str, Cost]:
    """The same, in virtual time and in a state directory of its own."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ws-mcp-scale-") as directory:
        clock = virtual_clock(patch)
        found = Path(directory) / "state"
        return anyio.run(simulate, found, hosts, workspaces, backend="trio", backend_options={"clock": clock})


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--hosts", type=int, default=HOSTS, help="nodes of the swarm, four or more")
    parser.add_argument("--workspaces", type=int, default=WORKSPACES, help="on each of them")
    options = parser.parse_args()
    costs = run(options.hosts, options.workspaces)
    print(f"{options.hosts} hosts, {options.hosts * options.workspaces:,} workspaces, one server\n")
    print(table.markdown([HEAD, *(cost.cells for cost in costs.values())]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
