"""What it costs to stand guard: the same calls of two servers in turn, one with and one without guards at its gate."""

from __future__ import annotations

from collections.abc import Mapping

from tests.bench import table
from tests.bench.ground import Ground
from tests.bench.table import Line
from tests.support.raw_client import RawClient, open_raw_client

GUARDS = ("--audit", "on")  # with every guard that a flag can put there
CALLS = 60  # of a kind and a side in a round
WARM_UP = 20
ACT = ("write_input", {"process_id": "p_22222222", "text": "x"})  # may change something, and is quick: there is none
LOOK = ("read_output", {"process_id": "p_22222222"})
MOST_S = 0.0003


def measure_gate(ground: Ground, rounds: int) -> list[Line]:
    """What is added at p50 to an act, whose intent is on the disk before it is done, and to a look."""
    kinds = {"an act": ACT, "a look": LOOK}
    taken: dict[tuple[str, bool], list[float]] = {(kind, side): [] for kind in kinds for side in (False, True)}
    with open_raw_client((*ground.argv, *GUARDS)) as guarded:
        sides = ((False, ground.ours), (True, guarded))
        for call in kinds.values():
            for _, client in sides:
                _ask(client, call, WARM_UP)
        for _ in range(rounds):
            for kind, call in kinds.items():
                for _ in range(CALLS):  # one by one, since the machine is not the same from one moment to the next
                    for side, client in sides:
                        taken[kind, side] += _ask(client, call, 1)
    return [_line(kind, taken[kind, True], taken[kind, False]) for kind in kinds]


def _ask(client: RawClient, call: tuple[str, Mapping[str, object]], count: int) -> list[float]:
    tool, arguments = call
    return [client.call(tool, **arguments).seconds for _ in range(count)]


def _line(kind: str, guarded: list[float], bare: list[float]) -> Line:
    added = table.p50([one - other for one, other in zip(guarded, bare, strict=True)])
    note = f"({table.duration(table.p50(guarded))} and {table.duration(table.p50(bare))})"
    return table.below(
        f"gate (identity, policy, quota, audit) adds to {kind}, p50", added, MOST_S, table.duration, note
    )
