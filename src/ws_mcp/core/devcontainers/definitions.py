"""The definitions on this machine: the real adapter of `Definitions`, in worker threads, for each root its own."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import anyio

from ws_mcp.core.devcontainers.copies import real_paths
from ws_mcp.core.devcontainers.finding import find_definition
from ws_mcp.core.devcontainers.fingerprint import fingerprint_of, read_definition
from ws_mcp.core.devcontainers.inputs import Inputs, Look
from ws_mcp.core.devcontainers.lanes import ANSWER_S, Lane
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import Definition, Fingerprint, SilentDefinitionError
from ws_mcp.core.devcontainers.roots import Root
from ws_mcp.core.host.model import HostRules

T = TypeVar("T")
KEYS = 1_000  # whose inputs are remembered, for `stamp`; that were named
SILENT = "silent"  # the stamp of what is on a disk that does not answer


class HostDefinitions:
    """`Definitions` below the operator's roots. Without roots there are none."""

    def __init__(
        self,
        rules: HostRules,
        home: str,
        clock: Callable[[], float] = anyio.current_time,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._rules = rules
        self._home = home
        self._roots = tuple(Root(path, rules, clock, answer_s) for path in rules.roots)
        self._elsewhere = Lane("what is outside of the roots", answer_s)
        self._inputs = Inputs(replace(rules, roots=()))  # of the lane for elsewhere
        self._looks: dict[Key, Look] = {}
        self._named: dict[Key, None] = {}  # also what a search does not find, or has not found yet
        self._links: dict[str, str] = {}
        self._discovering = anyio.Lock()

    async def read(self, key: Key) -> Definition:
        """The definition as it is now."""
        look = Look(key.folder)
        return await self._run(key.folder, lambda inputs: read_definition(key, inputs, look))

    async def fingerprint(self, key: Key) -> Fingerprint:
        """What its container would be made from now."""
        look = Look(key.folder)
        try:
            return await self._run(key.folder, lambda inputs: fingerprint_of(key, inputs, look))
        finally:
            self._keep(key, look)

    async def stamps(self, keys: Sequence[Key]) -> tuple[str, ...]:
        """Of the inputs of the last fingerprint of each; before the first one, of the definition alone."""
        looks = {key: self._looks.get(key) or _first_look(key) for key in keys}
        stamps = dict.fromkeys(keys, SILENT)

        async def stamp(some: list[Key]) -> None:
            with suppress(SilentDefinitionError):
                # In one go: to reach a thread takes as long as to look.
                found = await self._run(some[0].folder, lambda _: [looks[key].stamp() for key in some])
                stamps.update(zip(some, found, strict=True))

        await self._by_root({key: key.folder for key in looks}, stamp)
        return tuple(stamps[key] for key in keys)

    async def find(self, folder: str, config: str) -> Key:
        """The definition that is meant."""
        root = await self._root_of(folder)
        rules, lane = (root.rules, root.lane) if root else (self._rules, self._elsewhere)
        key = await lane.run(lambda: find_definition(folder, config, rules))
        self._named.pop(key, None)
        self._named[key] = None
        if len(self._named) > KEYS:
            del self._named[next(iter(self._named))]
        return key

    async def discover(self) -> tuple[Key, ...]:
        """All below the roots, as they were a while ago (see `roots.DISCOVERED_S`), and all that were named since."""
        async with self._discovering:
            await self._look_up()
            outer = self._outer()

            async def search(root: Root) -> None:
                gone = await root.search(self._home, [key for key in self._named if root.holds(key.folder)])
                self._named = {key: None for key in self._named if key not in gone}

            async with anyio.create_task_group() as tasks:
                for root in outer:
                    tasks.start_soon(search, root)
            return tuple(sorted({*(key for root in outer for key in root.keys), *self._named}))

    def silent(self) -> Mapping[str, float]:
        """The roots whose disk does not answer now, and for how many seconds."""
        return {root.real: for_s for root in self._roots if (for_s := root.silent_s)}

    async def links(self, paths: Collection[str]) -> Mapping[str, str]:
        """Where absolute paths lead, of those that lead elsewhere than they say; on a silent disk: led."""
        known, self._links = self._links, {}

        async def look_up(some: list[str]) -> None:
            root = await self._root_of(some[0])
            lane = root.lane if root else self._elsewhere
            found = {path: known[path] for path in some if path in known}
            with suppress(SilentDefinitionError):
                found = await lane.run(lambda: real_paths(some))
            self._links.update(found)

        await self._by_root({path: path for path in paths}, look_up)
        return self._links

    async def _by_root(
        self, paths: Mapping[T, str], work: Callable[[list[T]], Coroutine[object, object, None]]
    ) -> None:
        """Work on what lies below one root, for all roots at the same time."""
        below: dict[Root | None, list[T]] = {}
        for each, path in paths.items():
            below.setdefault(await self._root_of(path), []).append(each)
        async with anyio.create_task_group() as tasks:
            for some in below.values():
                tasks.start_soon(work, some)

    def _outer(self) -> list[Root]:
        """A root within another one is searched with that one's rules."""
        first = {root.real: root for root in reversed(self._roots)}.values()
        return [root for root in first if not any(other is not root and other.holds(root.real) for other in first)]

    async def _root_of(self, path: str) -> Root | None:
        await self._look_up()
        holding = [root for root in self._roots if root.holds(path)]
        return max(holding, key=lambda root: len(root.real), default=None)

    async def _look_up(self) -> None:
        if not all(root.is_looked_up for root in self._roots):
            async with anyio.create_task_group() as tasks:
                for root in self._roots:
                    tasks.start_soon(root.look_up)

    def _keep(self, key: Key, look: Look) -> None:
        self._looks.pop(key, None)
        self._looks[key] = look
        if len(self._looks) > KEYS:
            del self._looks[next(iter(self._looks))]

    async def _run(self, path: str, call: Callable[[Inputs], T]) -> T:
        root = await self._root_of(path)
        inputs, lane = (root.inputs, root.lane) if root else (self._inputs, self._elsewhere)
        others = [each.real for each in self._roots if each is not root]

        def work() -> T:
            inputs.begin(others)
            return call(inputs)

        return await lane.run(work)


def _first_look(key: Key) -> Look:
    look = Look(key.folder)
    look.paths = {key.folder: False, posixpath.dirname(key.config): False, key.config: True}
    return look
