"""What the scripted model says: a generator that yields calls and is sent what the host showed of their results."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool of ours, by our own name."""

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])


Script = Callable[[], Generator[Call, str, None]]
DONE = "All done."
# What a model would search for that does not know our names.
SEARCHES = {
    "provision_workspace": "container to work in",
    "start_process": "run a shell command in the background",
    "read_output": "read the output of a running command",
    "list_processes": "which background processes are running",
    "signal_process": "stop or kill a background process",
    "remove_workspace": "remove the workspace",
}


class Play:
    """A script in progress. The turn follows from how many results a request brings: hosts also repeat requests."""

    def __init__(self, script: Script) -> None:
        self._script = script()
        self._lock = Lock()
        self.calls: list[Call] = []
        self.shown: list[str] = []
        self.is_done = False
        self.failure: Exception | None = None

    def turn(self, results: Sequence[str]) -> Call | None:
        """What to call next; None: nothing more."""
        with self._lock:
            while len(self.calls) <= len(results) and not self.is_done:
                self._advance(results)
            return self.calls[len(results)] if len(results) < len(self.calls) else None

    def _advance(self, results: Sequence[str]) -> None:
        try:
            if not self.calls:
                self.calls.append(next(self._script))
                return
            self.shown.append(results[len(self.calls) - 1])
            self.calls.append(self._script.send(self.shown[-1]))
        except StopIteration:
            self.is_done = True
        except Exception as error:  # noqa: BLE001 - the test raises it
            self.is_done, self.failure = True, error
