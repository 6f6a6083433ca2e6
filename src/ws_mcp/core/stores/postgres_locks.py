"""Names that are held in PostgreSQL: by a lock of the session, so that a server that dies lets go at once.

These locks know sessions, not tasks: who holds what within one server the files of its state directory say, before.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio

from ws_mcp.core.errors import StateError
from ws_mcp.core.stores.dialect import lock_key
from ws_mcp.core.stores.lock import LOST, Lock
from ws_mcp.core.stores.postgres_line import CHANNELS, Line

LOOK_AGAIN_S = 0.5  # who waits is told when a name is free, but not when a server dies


class AdvisoryLocks:
    """The names that this server holds or waits for."""

    def __init__(self, line: Line, instance: str) -> None:
        self._line = line
        self._instance = instance
        self._held: dict[int, Lock] = {}
        self._waiting: dict[int, anyio.Event] = {}

    def freed(self, key: str) -> None:
        """Another server let go of something."""
        if key.lstrip("-").isdigit() and (event := self._waiting.pop(int(key), None)) is not None:
            event.set()

    def lost(self) -> None:
        """All of them are."""
        held, self._held = self._held, {}
        for lock in held.values():
            lock.lose()

    @asynccontextmanager
    async def holding(self, lock: Lock, *, waits: bool = True) -> AsyncGenerator[bool]:
        """Hold it; whether it is held, which it always is if `waits`.

        Raises:
            StateError: there is no database, or the lock was lost while it was held.
        """
        if not await self._taken(lock, waits=waits):
            yield False
            return
        try:
            with lock.scope:
                yield True
            if lock.is_lost:
                raise StateError(LOST)
        finally:
            with anyio.CancelScope(shield=True):
                await self._let_go(lock)

    async def is_taken(self, name: str) -> bool:
        """Whether any server holds it."""
        key = self._key(name) & 0xFFFF_FFFF_FFFF_FFFF
        row, _ = await self._line.ask_on(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND "
            "classid = %s::bigint::oid AND objid = %s::bigint::oid AND "
            "database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
            (key >> 32, key & 0xFFFF_FFFF),
        )
        return bool(row and row[0])

    async def _taken(self, lock: Lock, *, waits: bool) -> bool:
        key = self._key(lock.name)
        try:
            while True:
                freed = self._waiting[key] = anyio.Event()  # before it is tried: what is said meanwhile counts
                row, generation = await self._line.ask_on("SELECT pg_try_advisory_lock(%s)", (key,))
                if generation != self._line.generation:
                    continue  # what that session got was lost with it
                if row and row[0]:
                    self._held[key] = lock
                    lock.asked = self._answers
                    return True
                if not waits:
                    return False
                with anyio.move_on_after(LOOK_AGAIN_S):
                    await freed.wait()
        finally:
            self._waiting.pop(key, None)

    async def _let_go(self, lock: Lock) -> None:
        key = self._key(lock.name)
        if self._held.get(key) is not lock:
            return
        del self._held[key]
        with suppress(StateError):  # a lost connection holds nothing
            statement = "SELECT pg_advisory_unlock(%s), pg_notify(%s, %s)"
            await self._line.ask(statement, (key, CHANNELS[0], str(key)))

    async def _answers(self) -> bool:
        # As long as its session answers, what the session holds is held.
        with suppress(StateError):
            return await self._line.ask("SELECT 1") is not None
        return False

    def _key(self, name: str) -> int:
        return lock_key(self._instance, name)
