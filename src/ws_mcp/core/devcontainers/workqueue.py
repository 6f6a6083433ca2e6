"""Work by key: each key is in one hand at a time, and what fails is tried again later and later.

A key is wanted at a version. The same version is worked on until it went well once; a new one is begun at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection

import anyio
from anyio.abc import TaskGroup

from ws_mcp.core.errors import WsError

log = logging.getLogger(__name__)

HANDS = 4  # keys at once: an engine starts about 20 execs a second, and others ask it, too
BACKOFF_S = (0.5, 60.0)  # first and longest pause before the same version is tried again

Work = Callable[[str, str], Awaitable[None]]
"""Given the key and the version; raises what is to be tried again."""


class _Wish:
    """What is wanted of a key. Its task takes whatever version is there when it gets a hand."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.done = ""  # the version that went well last
        self.failures = 0
        self.changed = anyio.Event()  # set, and a new one made, when another version is wanted, and at its end
        self.settled = anyio.Event()  # the version was tried once
        self.is_dropped = False

    def want(self, version: str) -> None:
        """Another version counts from now on."""
        self.version, self.failures = version, 0
        if self.settled.is_set():
            self.settled = anyio.Event()
        self.wake()

    def wake(self) -> None:
        """Whoever waits for a change looks again."""
        self.changed.set()
        self.changed = anyio.Event()


class WorkQueue:
    """Keys and their work, done by tasks of `tasks`, whose owner ends them."""

    def __init__(self, work: Work, tasks: TaskGroup) -> None:
        self._work = work
        self._tasks = tasks
        self._wishes: dict[str, _Wish] = {}
        self._hands = anyio.Semaphore(HANDS)

    def want(self, key: str, version: str) -> None:
        """Have the work done for this version of the key, unless it was."""
        wish = self._wishes.get(key)
        if wish is None:
            wish = self._wishes[key] = _Wish(version)
            self._tasks.start_soon(self._keep, key, wish, name=f"work for {key}")
        elif wish.version != version:
            wish.want(version)

    def again(self, key: str) -> None:
        """What was done for the key is true no more: do it again, now."""
        wish = self._wishes.get(key)
        if wish is not None:
            wish.done = ""
            wish.want(wish.version)

    def only(self, keys: Collection[str]) -> None:
        """Forget all other keys; what is in a hand is brought to its end."""
        for key in self._wishes.keys() - keys:
            wish = self._wishes.pop(key)
            wish.is_dropped = True
            wish.settled.set()
            wish.wake()

    async def until_tried(self, key: str) -> None:
        """Wait until what is wanted of the key now was tried once, well or not."""
        wish = self._wishes.get(key)
        if wish is not None:
            await wish.settled.wait()

    async def _keep(self, key: str, wish: _Wish) -> None:
        while not wish.is_dropped:
            changed, version = wish.changed, wish.version
            if wish.done == version:
                await changed.wait()
                continue
            if wish.failures:
                with anyio.move_on_after(min(BACKOFF_S[0] * 2 ** (wish.failures - 1), BACKOFF_S[1])):
                    await changed.wait()
                    continue
            async with self._hands:
                if wish.is_dropped or wish.version != version:
                    continue
                await self._try(key, wish, version)

    async def _try(self, key: str, wish: _Wish, version: str) -> None:
        is_done = False
        try:
            await self._work(key, version)
            is_done = True
        except WsError as error:
            log.info("work for %s is not possible now: %s", key, error)
        except Exception:
            # A bug in the work of one key must not end the server, nor the work of the others.
            log.exception("work for %s failed", key)
        if wish.version == version:
            wish.done, wish.failures = (version, 0) if is_done else ("", wish.failures + 1)
            wish.settled.set()
