"""How long a call of each tool may take, whatever hangs below it; the tools name theirs in the one list of tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ws_mcp.core.errors import WsError

LONGEST_S = 58.0  # hosts give a call up after 60 s, and then nobody is told why
QUICK_S = 35.0  # the first look at an engine takes 20 s at most, another one 10 s; an execd gets 15 s
END_S = 1.5  # for what is cancelled then; it is left behind after that, and ends by itself


class OverdueError(WsError):
    """A call was given up at its deadline; the message says what it waited for, and what becomes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Of the calls of one tool. `plus`: the argument that says how long is waited besides, by default `plus_s`.

    `waits_for`: what takes so long, for people; `then`: what becomes of a call that is given up, for models.
    """

    seconds: float
    waits_for: str
    then: str
    plus: str = ""
    plus_s: float = 0.0

    def of(self, arguments: Mapping[str, object]) -> float:
        """Seconds that a call with these arguments, which were checked, may take."""
        said = arguments.get(self.plus)
        plus_s = said if isinstance(said, int | float) else self.plus_s
        return min(self.seconds + plus_s, LONGEST_S)

    def overdue(self, tool: str, after_s: float, waited_for: str) -> OverdueError:
        """The failure of a call that is given up."""
        what = f", waiting for {waited_for}" if waited_for else ""
        return OverdueError(f"{tool} was given up after {after_s:g} s{what}. {self.then}")


LOOK = "Nothing was changed: try again in a moment"
LOOKS = Deadline(seconds=QUICK_S, waits_for="engine, execd", then=LOOK)
READS = Deadline(
    seconds=QUICK_S, plus="wait_s", plus_s=20, waits_for="execd, and the output that is waited for", then=LOOK
)
STARTS = Deadline(
    seconds=QUICK_S,
    plus="wait_s",
    plus_s=2,
    waits_for="engine, execd, and the first output",
    then="Whether it was started is not known: look with list_processes before you start it again",
)
WRITES = Deadline(
    seconds=QUICK_S,
    waits_for="execd",
    then="Whether it was written is not known: read_output shows what became of it",
)
SIGNALS = Deadline(
    seconds=QUICK_S,
    plus="grace_s",
    plus_s=5,
    waits_for="execd, and the end of the process",
    then="Whether the signal arrived is not known: look with list_processes",
)
FILES = Deadline(
    seconds=LONGEST_S,
    waits_for="execd; of a stopped workspace its lock and the engine",
    then="A file that was to be written may be written or not: read it, or write it again",
)
JOBS = Deadline(
    seconds=LONGEST_S,
    waits_for="its job, for 45 s; that goes on by itself, until its own deadline",
    then="What was begun goes on: call again with the same arguments to wait on",
)
ENDS = Deadline(
    seconds=LONGEST_S,
    waits_for="the lock of the workspace, engine, execd; of a dev container its job, for 45 s",
    then="What it had begun comes to its end by itself: look with list_containers, then call again if need be",
)
