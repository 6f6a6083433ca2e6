"""The step that shows what a server that was killed finds again."""

from __future__ import annotations

from tests.bench.peers.bench import SETTLE_S, Bench, read_until
from tests.bench.peers.figures import LIMIT_S, Figure, Figures
from tests.bench.peers.marks import alive, end_all, left_after, new_mark
from tests.bench.peers.side import Side, UnknownProcessError
from tests.support.raw_client import RawClient, RawClientError

TICKS, TICK_S = 40, 0.1
WHOLE = "all its output and its exit code"


def measure_restart(bench: Bench) -> Figures:
    """The server is killed while a process counts; it ends before the next server is asked for it."""
    side, mark = bench.side, bench.mark
    line = f"i=0; while [ $i -lt {TICKS} ]; do echo tick-$i-; i=$((i+1)); sleep {TICK_S}; done; : {mark}; exit 7"
    lasting = new_mark()
    with bench.open() as client:
        process, other = side.start(client, line), side.start(client, f"sleep {lasting}")
        read_until(side, client, process, "tick-3-")
        client.child.kill()
        client.child.wait()
    printing = left_after(mark, TICKS * TICK_S / 8) > 0
    left_after(mark, LIMIT_S)
    silent = bool(alive(lasting))
    with bench.open() as client:
        kept = _kept(side, client, process)
        is_ended = _ended(side, client, other, lasting)
    end_all(lasting)
    text = _found(kept, is_ended) if kept else _not_found(printing, silent)
    return {"restart": Figure(value=0 if kept == WHOLE and is_ended else 1, text=text)}


def _kept(side: Side, client: RawClient, process: str) -> str:
    try:
        seen = side.read(client, process)
    except UnknownProcessError:
        return ""
    has_all = all(f"tick-{number}-" in seen.text for number in range(TICKS))
    return (
        WHOLE
        if has_all and side.exit_code(client, process) == 7
        else "all its output"
        if has_all
        else "a part of its output"
    )


def _ended(side: Side, client: RawClient, process: str, mark: str) -> bool:
    if not alive(mark):
        return False
    try:
        side.end(client, process)
    except (UnknownProcessError, RawClientError):
        return False
    return left_after(mark, SETTLE_S) == 0


def _found(kept: str, is_ended: bool) -> str:
    return f"found: {kept}; {'can' if is_ended else 'cannot'} be stopped"


def _not_found(printing: bool, silent: bool) -> str:
    if printing:
        return "runs on, and is not found"
    return "dies at its next print; a silent one runs on, and is not found" if silent else "dies with the server"
