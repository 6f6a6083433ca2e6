"""The definitions on this machine: the real adapter of `Definitions`, in worker threads."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from ws_mcp.core.devcontainers.discovery import Walk
from ws_mcp.core.devcontainers.finding import find_definition
from ws_mcp.core.devcontainers.fingerprint import fingerprint_of, read_definition
from ws_mcp.core.devcontainers.inputs import Inputs, Look
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import Definition, Fingerprint
from ws_mcp.core.host.model import HostRules

T = TypeVar("T")
DISCOVERED_S = (2.0, 30.0)  # least and most, until it is looked again which definitions there are
REST = 100  # times as long as a search took, so that it costs a hundredth of a processor in a tree of any size
KEYS = 1_000  # whose inputs are remembered, for `stamp`; that were named


class HostDefinitions:
    """`Definitions` below the operator's roots. Without roots there are none."""

    def __init__(self, rules: HostRules, home: str, clock: Callable[[], float] = anyio.current_time) -> None:
        self._rules = rules
        self._home = home
        self._clock = clock
        self._inputs = Inputs(rules)
        self._looks: dict[Key, Look] = {}
        self._discovered: tuple[Key, ...] = ()
        self._discovered_until: float | None = None
        self._named: dict[Key, None] = {}  # also what a search does not find, or has not found yet
        self._discovering = anyio.Lock()
        # One: then the kept digests have one owner at a time.
        self._one = anyio.CapacityLimiter(1)

    async def read(self, key: Key) -> Definition:
        """The definition as it is now."""
        look = Look(key.folder)
        return await self._run(lambda: read_definition(key, self._inputs, look))

    async def fingerprint(self, key: Key) -> Fingerprint:
        """What its container would be made from now."""
        look = Look(key.folder)
        try:
            return await self._run(lambda: fingerprint_of(key, self._inputs, look))
        finally:
            self._keep(key, look)

    async def stamps(self, keys: Sequence[Key]) -> tuple[str, ...]:
        """Of the inputs of the last fingerprint of each; before the first one, of the definition alone."""
        looks = [self._looks.get(key) or _first_look(key) for key in keys]
        # In one go: to reach a thread takes as long as to look.
        return await self._run(lambda: tuple(look.stamp() for look in looks))

    async def find(self, folder: str, config: str) -> Key:
        """The definition that is meant."""
        key = await self._run(lambda: find_definition(folder, config, self._rules))
        self._named.pop(key, None)
        self._named[key] = None
        if len(self._named) > KEYS:
            del self._named[next(iter(self._named))]
        return key

    async def discover(self) -> tuple[Key, ...]:
        """All below the roots, as they were a while ago (see `DISCOVERED_S`), and all that were named since."""
        async with self._discovering:
            began = self._clock()
            if self._discovered_until is None or began >= self._discovered_until:
                named = tuple(self._named)
                self._discovered, gone = await anyio.to_thread.run_sync(lambda: (self._walk(), _gone(named)))
                self._named = {key: None for key in self._named if key not in gone}
                least_s, most_s = DISCOVERED_S
                ended = self._clock()
                self._discovered_until = ended + min(max(least_s, REST * (ended - began)), most_s)
            return tuple(sorted({*self._discovered, *self._named}))

    def _walk(self) -> tuple[Key, ...]:
        closed = {os.path.realpath(path) for path in self._rules.closed}
        roots = {os.path.realpath(root) for root in self._rules.roots}
        # A root within another one is walked with that one's rules.
        outer = [root for root in roots if not any(Path(root).is_relative_to(other) for other in roots - {root})]
        return tuple(sorted({key for root in outer for key in Walk(root, self._home, closed).find()}))

    def _keep(self, key: Key, look: Look) -> None:
        self._looks.pop(key, None)
        self._looks[key] = look
        if len(self._looks) > KEYS:
            del self._looks[next(iter(self._looks))]

    async def _run(self, call: Callable[[], T]) -> T:
        def work() -> T:
            self._inputs.begin()
            return call()

        return await anyio.to_thread.run_sync(work, limiter=self._one)


def _first_look(key: Key) -> Look:
    look = Look(key.folder)
    look.paths = {key.folder: False, posixpath.dirname(key.config): False, key.config: True}
    return look


def _gone(keys: tuple[Key, ...]) -> frozenset[Key]:
    return frozenset(key for key in keys if not os.path.lexists(key.config))
