"""What must survive besides engine objects: who this instance is, and receipts of keyed starts. Others add tables.

One SQLite file in a private directory, in WAL mode, safe for several servers at once. An *instance* is this directory,
not a process. Every call runs in one worker thread of its own, so that a slow disk never holds up the event loop.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from ws_mcp.core.database import BUSY_S, DAMAGE, LOCKS, OPENING, instance_of, make_directory, open_database, readable
from ws_mcp.core.errors import StateError

T = TypeVar("T")

LOCK_POLL_S = 0.02
KEEP_STARTS_S = 7 * 86_400  # execd keeps the receipt of a process for a day; nobody repeats a call after a week


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecord:
    """A keyed start: which request it was and which process it became; `is_confirmed`: execd said that it began."""

    digest: str
    process: str
    place: str
    boot: str
    is_confirmed: bool = False


class State:
    """The state directory of one instance, open. Made by `open_state`."""

    def __init__(self, directory: Path, database: sqlite3.Connection) -> None:
        self.directory = directory
        self._database = database
        self._thread = anyio.CapacityLimiter(1)
        self.instance = instance_of(database)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one transaction; for owners of tables of their own.

        Raises:
            StateError
        """

        def locked() -> T:
            try:
                with self._database:
                    return work(self._database)
            except DAMAGE as error:
                raise readable(error) from error

        return await anyio.to_thread.run_sync(locked, limiter=self._thread)

    async def aclose(self) -> None:
        """Close the database."""
        await anyio.to_thread.run_sync(self._database.close, limiter=self._thread)

    async def known_chats(self) -> frozenset[tuple[str, str]]:
        """Every chat of this instance with its principal."""
        return frozenset(await self.run(lambda db: db.execute("SELECT chat, principal FROM chats").fetchall()))

    async def claim_start(self, chat: str, key: str, record: StartRecord, now: datetime) -> StartRecord:
        """Remember a keyed start unless one is known; returns what is remembered now. Atomic over all servers."""
        at = int(now.timestamp())

        def work(db: sqlite3.Connection) -> StartRecord:
            db.execute("DELETE FROM starts WHERE at < ?", (at - KEEP_STARTS_S,))
            db.execute(
                "INSERT OR IGNORE INTO starts (chat, request_key, digest, process, place, boot, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (chat, key, record.digest, record.process, record.place, record.boot, at),
            )
            if not (found := _starts(db, "chat = ? AND request_key = ?", (chat, key))):
                raise StateError("the state file is damaged: it lost what was just written; see `ws-mcp doctor`")
            return found[0]

        return await self.run(work)

    async def start_of_key(self, chat: str, key: str) -> StartRecord | None:
        """The start that a key became."""
        found = await self.run(lambda db: _starts(db, "chat = ? AND request_key = ?", (chat, key)))
        return found[0] if found else None

    async def start_of_process(self, chat: str, process: str) -> StartRecord | None:
        """The keyed start that became this process."""
        found = await self.run(lambda db: _starts(db, "chat = ? AND process = ?", (chat, process)))
        return found[0] if found else None

    async def confirm_start(self, chat: str, key: str, process: str) -> None:
        """Remember that a keyed start became a process."""
        await self.run(
            lambda db: db.execute(
                "UPDATE starts SET is_confirmed = 1 WHERE chat = ? AND request_key = ? AND process = ?",
                (chat, key, process),
            )
        )

    async def release_start(self, chat: str, key: str, process: str) -> None:
        """Forget a keyed start that did not become a process."""
        await self.run(
            lambda db: db.execute(
                "DELETE FROM starts WHERE chat = ? AND request_key = ? AND process = ?", (chat, key, process)
            )
        )

    async def is_filled(self, engine: str, volume: str, created_at: str) -> bool:
        """Whether this very volume (by its creation time) was filled by this instance."""
        row = await self.run(
            lambda db: db.execute(
                "SELECT created_at FROM fills WHERE engine = ? AND volume = ?", (engine, volume)
            ).fetchone()
        )
        return row is not None and row[0] == created_at

    async def has_fills(self) -> bool:
        """Whether any engine was ever used from this directory."""
        return await self.run(lambda db: db.execute("SELECT 1 FROM fills LIMIT 1").fetchone() is not None)

    async def mark_filled(self, engine: str, volume: str, created_at: str) -> None:
        """Remember that a volume was filled to the end."""
        await self.run(
            lambda db: db.execute("INSERT OR REPLACE INTO fills VALUES (?, ?, ?)", (engine, volume, created_at))
        )

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[int]:
        """Hold `name` against every server of this instance; a server that dies lets go.

        The descriptor may be handed to a program, which then holds it, too.
        """
        async with _held(self.directory / LOCKS / name) as handle:
            yield handle

    @contextmanager
    def lock_if_free(self, name: str) -> Generator[bool]:
        """Hold `name` if nobody does; says whether it is held now."""
        handle = _open_lock(self.directory / LOCKS / name)
        try:
            yield _try_lock(handle)
        finally:
            os.close(handle)


@asynccontextmanager
async def open_state(directory: Path) -> AsyncGenerator[State]:
    """Open the state directory, made on first use with mode 0700.

    Raises:
        StateError: it cannot be made, is not ours alone, is damaged, or was written by a newer version.
    """
    await anyio.to_thread.run_sync(make_directory, directory)
    # SQLite does not wait for a server that makes a database or switches it to WAL mode: it fails.
    async with _held(directory / LOCKS / OPENING, BUSY_S):
        state = State(directory, await anyio.to_thread.run_sync(open_database, directory))
    try:
        yield state
    finally:
        with anyio.CancelScope(shield=True):
            await state.aclose()


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(
            f"a lock of the state directory cannot be opened ({error.strerror}); see `ws-mcp doctor`"
        ) from error


@asynccontextmanager
async def _held(path: Path, within_s: float = float("inf")) -> AsyncGenerator[int]:
    handle = _open_lock(path)
    try:
        with anyio.move_on_after(within_s) as patience:
            while not _try_lock(handle):  # noqa: ASYNC110 - another process holds it: no event can tell
                await anyio.sleep(LOCK_POLL_S)
        if patience.cancelled_caught:
            raise StateError(f"another ws-mcp has held the state directory for {within_s:g} s; end it, then try again")
        yield handle
    finally:
        os.close(handle)


def _starts(database: sqlite3.Connection, where: str, values: tuple[str, ...]) -> list[StartRecord]:
    columns = "digest, process, place, boot, is_confirmed"
    rows = database.execute(f"SELECT {columns} FROM starts WHERE {where}", values)  # noqa: S608
    return [StartRecord(digest=r[0], process=r[1], place=r[2], boot=r[3], is_confirmed=bool(r[4])) for r in rows]


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
