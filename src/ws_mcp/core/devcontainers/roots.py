"""One root of the operator: where it really is, the lanes for its files, and what was found below it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp.core.devcontainers.discovery import Walk
from ws_mcp.core.devcontainers.inputs import Inputs
from ws_mcp.core.devcontainers.lanes import Lane
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import SilentDefinitionError
from ws_mcp.core.devcontainers.sightings import is_below
from ws_mcp.core.host.model import HostRules

DISCOVERED_S = (2.0, 30.0)  # least and most, until it is looked again which definitions there are
REST = 100  # times as long as a search took, so that it costs a hundredth of a processor in a tree of any size


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a search came to. `gone`: of the definitions that were named, those that are not there."""

    real: str
    keys: tuple[Key, ...]
    gone: frozenset[Key]


class Root:
    """See the module. `real` is the path as it was given until it was looked up."""

    def __init__(self, path: Path, rules: HostRules, clock: Callable[[], float], answer_s: float) -> None:
        self.path = path
        self.real = str(path)
        self.is_looked_up = False
        self.rules = replace(rules, roots=(path,))
        self.inputs = Inputs(self.rules)
        self.lane = Lane(repr(str(path)), answer_s)
        self.keys: tuple[Key, ...] = ()
        self._clock = clock
        # Beside the lane: a search of a large tree may take long.
        self._searcher = Lane(repr(str(path)), answer_s)
        self._search: Future[_Found] | None = None
        self._began = 0.0
        self._until: float | None = None

    @property
    def silent_s(self) -> float:
        """For how long its disk has not answered; 0: it does."""
        return max(self.lane.silent_s, self._searcher.silent_s)

    def holds(self, path: str) -> bool:
        """Whether a path is below it, as far as its text says."""
        return is_below(path, self.real) or is_below(path, str(self.path))

    async def look_up(self) -> None:
        """Where it is, once it answers."""
        if not self.is_looked_up:
            with suppress(SilentDefinitionError):
                self.real = await self.lane.run(lambda: os.path.realpath(self.path))
                self.is_looked_up = True

    async def search(self, home: str, named: Collection[Key]) -> frozenset[Key]:
        """Search it, if that is due. A search that takes too long goes on, and is waited for no longer.

        Returns which of `named` are gone.
        """
        if self._search is None:
            if self._until is not None and self._clock() < self._until:
                return frozenset()
            asked = frozenset(named)
            self._began = self._clock()
            self._search = self._searcher.begin(lambda: self._walked(home, asked))
        try:
            found = await self._searcher.outcome(self._search)
        except SilentDefinitionError:
            return frozenset()
        finally:
            if self._search.done():
                self._search = None
        ended = self._clock()
        least_s, most_s = DISCOVERED_S
        self._until = ended + min(max(least_s, REST * (ended - self._began)), most_s)
        self.real, self.keys = found.real, found.keys
        return found.gone

    def _walked(self, home: str, named: Collection[Key]) -> _Found:
        real = os.path.realpath(self.path)
        closed = {os.path.realpath(path) for path in self.rules.closed}
        gone = frozenset(key for key in named if not os.path.lexists(key.config))
        return _Found(real=real, keys=tuple(Walk(real, home, closed).find()), gone=gone)


async def real_root(path: Path, answer_s: float) -> str:
    """Where a root really is; one whose disk does not answer is where its path says."""
    with anyio.move_on_after(answer_s):
        return await anyio.to_thread.run_sync(os.path.realpath, path, abandon_on_cancel=True)
    return str(path)
