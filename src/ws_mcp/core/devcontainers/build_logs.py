"""What was said while dev containers were made: the last lines of the last run of each, while this server lives.

Why a run failed is kept for longer, with its last lines, as the error of the dev container.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ws_mcp.core.clock import Now
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.errors import WsError

MAX_LINES = 2000  # of a log
MAX_LOGS = 20

Write = Callable[[Sequence[str]], None]
"""Takes the next lines of a log; must not wait."""


def step(text: str) -> str:
    """A line of ours among those of others."""
    return f"== {text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLog:
    """`dropped`: how many lines were before these."""

    lines: tuple[str, ...]
    dropped: int = 0


@dataclass(slots=True)
class _Log:
    lines: deque[str]
    dropped: int = 0

    def write(self, lines: Sequence[str]) -> None:
        self.dropped += max(0, len(self.lines) + len(lines) - MAX_LINES)
        self.lines.extend(lines)


class BuildLogs:
    """The logs by key. `on_change`: some log has more than before."""

    def __init__(self, now: Now, on_change: Callable[[], None]) -> None:
        self._now = now
        self._on_change = on_change
        self._logs: dict[Key, _Log] = {}

    @contextmanager
    def run(self, key: Key) -> Generator[Write]:
        """The time of a run, whose log takes the place of the one before."""
        log = _Log(deque(maxlen=MAX_LINES))
        self._logs.pop(key, None)
        self._logs[key] = log
        while len(self._logs) > MAX_LOGS:
            del self._logs[next(iter(self._logs))]

        def write(lines: Sequence[str]) -> None:
            log.write(lines)
            self._on_change()

        write((step(self._now().isoformat(timespec="seconds")),))
        end = "cut short"
        try:
            yield write
            end = "done"
        except WsError as error:
            end = str(error).partition("\n")[0]  # the lines of the CLI that may follow are there already
            raise
        finally:
            write((step(end),))

    def of(self, key: Key) -> BuildLog | None:
        """The log of the last run; None if this server made none, or too many since."""
        log = self._logs.get(key)
        return BuildLog(lines=tuple(log.lines), dropped=log.dropped) if log is not None else None
