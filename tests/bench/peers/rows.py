"""The rows of the table of peers, and what each says of us (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.peers.figures import Figure, Figures

NOISE = 1.1  # nearer than this is no difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of every side; less is better. `why`: what speaks for being behind. `has_plot`: worth a picture."""

    key: str
    title: str
    why: str = ""
    has_plot: bool = False


SMALLER = "there processes have no audit, no chat and no place of their own"
ROWS = (
    Row(key="ready", title="started and ready for the first process", why="Python and the SDK are most of it"),
    Row(key="resident", title="memory of the server, ready", why="Python and the SDK are most of it"),
    Row(key="start", title="start: p50 / p95", why=SMALLER, has_plot=True),
    Row(key="until_read", title="start until its output was read: p50 / p95", why=SMALLER, has_plot=True),
    Row(key="read", title="read: p50 / p95", why=f"the SDK's own work on a call; {SMALLER}", has_plot=True),
    Row(key="many", title="100 processes, one start after the other", why=SMALLER, has_plot=True),
    Row(key="many_read", title="read, 100 living: p50 / p95", why=f"the SDK's own work on a call; {SMALLER}"),
    Row(key="many_list", title="the list, 100 living", why="each entry says state, command, output and place"),
    Row(key="many_resident", title="memory of the server, 100 living", why="Python and the SDK are most of it"),
    Row(key="many_ended", title="100 ended, one after the other", why="an answer counts who is gone and who is left"),
    Row(key="many_left", title="of these alive afterwards"),
    Row(key="flood", title="a process writes 100 MB of lines", has_plot=True),
    Row(
        key="flood_peak",
        title="memory at its largest meanwhile",
        why="Python and the SDK are most of it",
        has_plot=True,
    ),
    Row(key="flood_answer", title="one answer about these 100 MB", why="all answers are bounded; ours by `limit`"),
    Row(
        key="flood_slowest", title="slowest read of another process meanwhile", why="writer and server share the cores"
    ),
    Row(key="kill_left", title="a shell, its tree and a daemon ended: alive afterwards", has_plot=True),
    Row(key="kill", title="how long that took", why="an answer waits until it is known who is gone"),
    Row(key="restart", title="server killed (-9) and started again: its processes"),
)


def cells_of(row: Row, sides: Mapping[str, Figures]) -> tuple[str, ...]:
    """What every side has in this row."""
    return tuple(figures[row.key].text if row.key in figures else "failed" for figures in sides.values())


def verdict(row: Row, ours: Sequence[Figures], peers: Mapping[str, Figures]) -> str:
    """Whether the better of ours is ahead of every peer; if not, of whom and by how much it is behind, and why."""
    mine = _best([figures.get(row.key) for figures in ours])
    others = {name: _best([figures.get(row.key)]) for name, figures in peers.items()}
    known = {name: value for name, value in others.items() if value is not None}
    if mine is None:
        return "not measured"
    if not known:
        return "ahead: nobody else has it"
    name, best = min(known.items(), key=lambda item: item[1])
    if mine == best or best / NOISE <= mine <= best * NOISE:
        return f"level with {name}"
    if mine < best:
        return "ahead" if mine == 0 else f"ahead: {best / mine:.1f}x"
    by = f"{mine / best:.1f}x" if best else f"{mine:g} to {best:g}"
    behind = sum(mine > value * NOISE for value in known.values())
    return f"behind {name}{'' if behind == 1 else f' and {behind - 1} more'}: {by}. {row.why}".rstrip(". ")


def table_of(sides: Mapping[str, Figures], ours: Sequence[str]) -> list[tuple[str, ...]]:
    """The head, then every row with what it says of us."""
    mine = [sides[name] for name in ours if name in sides]
    peers = {name: figures for name, figures in sides.items() if name not in ours}
    rows = [(row.title, *cells_of(row, sides), verdict(row, mine, peers)) for row in ROWS]
    return [("", *sides, "ours against the best peer"), *rows]


def _best(figures: Sequence[Figure | None]) -> float | None:
    values = [figure.value for figure in figures if figure is not None and figure.value is not None]
    return min(values, default=None)
