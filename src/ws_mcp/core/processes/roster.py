"""What a manager remembers of its chat's processes: where each is, in which boot, and which were lost (pure).

The truth is in the execds. This is kept to find a process without asking all of them, and to say what became of those
that ended with their execd.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ws_mcp.core.ids import PlaceId, ProcessId
from ws_mcp.core.processes.model import OutputRange, ProcessInfo, ProcessState

KEEP_ENDED = 256  # an execd keeps the output of a hundred; another one is looked for in all places of its chat


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A process as last seen, and the boot of execd in which it was."""

    info: ProcessInfo
    boot: str


class Roster:
    """The processes that were seen, the least recently seen first."""

    def __init__(self, limit: int, lost_limit: int) -> None:
        self._limit = limit
        self._lost_limit = lost_limit
        self._known: dict[ProcessId, Known] = {}
        self._ended: dict[ProcessId, None] = {}  # those of the known
        self._boots: dict[PlaceId, str] = {}
        self._lost: dict[ProcessId, ProcessInfo] = {}

    def note(self, info: ProcessInfo, boot: str) -> None:
        """Remember how a process was seen: then it is not lost. A place cannot take over the process of another one."""
        lost = self._lost.get(info.process)
        if lost is not None and lost.place != info.place:
            return
        self._lost.pop(info.process, None)
        known = self._known.pop(info.process, None)
        is_strange = known is not None and known.info.place != info.place
        self._known[info.process] = now = known if known is not None and is_strange else Known(info=info, boot=boot)
        self._ended.pop(info.process, None)
        if now.info.state is ProcessState.ENDED:
            self._ended[info.process] = None
        while len(self._ended) > KEEP_ENDED:
            self.forget(next(iter(self._ended)))
        while len(self._known) > self._limit:
            self.forget(next(iter(self._known)))

    def sees(self, place: PlaceId, boot: str, workspace: str) -> None:
        """The place answers in this boot: what ran in a former one is lost."""
        if self._boots.get(place) == boot:
            return
        self._boots[place] = boot
        stale = [known.info for known in self._known.values() if known.info.place == place and known.boot != boot]
        self._lose(stale, f"workspace {workspace!r} restarted")

    def gone(self, place: PlaceId, reason: str) -> None:
        """The place does not run: what ran in it is lost."""
        self._boots.pop(place, None)
        self._lose([known.info for known in self._known.values() if known.info.place == place], reason)

    def keeps(self, places: Iterable[PlaceId]) -> None:
        """These are all places that there are."""
        for place in self._boots.keys() - set(places):
            self.gone(place, "its workspace was removed")

    def find(self, process: ProcessId) -> Known | None:
        """A process that was seen and not lost."""
        return self._known.get(process)

    def forget(self, process: ProcessId) -> None:
        """Its execd has forgotten it, or others were seen since."""
        self._known.pop(process, None)
        self._ended.pop(process, None)

    def lost(self) -> tuple[ProcessInfo, ...]:
        """Those that ran when their execd ended, the latest loss last."""
        return tuple(self._lost.values())

    def lost_one(self, process: ProcessId) -> ProcessInfo | None:
        """One of the lost."""
        return self._lost.get(process)

    def _lose(self, infos: Iterable[ProcessInfo], reason: str) -> None:
        for info in infos:
            self.forget(info.process)
            if info.state is ProcessState.RUNNING:
                self._lost[info.process] = replace(
                    info,
                    state=ProcessState.LOST,
                    lost_reason=reason,
                    out=_dropped(info.out),
                    err=_dropped(info.err) if info.err else None,
                    has_stdin=False,
                )
        while len(self._lost) > self._lost_limit:
            del self._lost[next(iter(self._lost))]


def _dropped(output: OutputRange) -> OutputRange:
    return OutputRange(end=output.end, head_end=0, tail_start=output.end, is_final=True)
