"""What is written down of jobs, so that a server which comes after this one knows what was asked for and not answered.

The work itself is made whole by who does it; here is only what to tell who asks again. Results are not kept: to ask
again shows them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TypeVar

from ws_mcp.core.clock import Now
from ws_mcp.core.errors import StateError, WsError, one_line
from ws_mcp.core.job import JobRequest
from ws_mcp.core.redaction import SECRETS
from ws_mcp.core.servers import Servers
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Sql

T = TypeVar("T")

log = logging.getLogger(__name__)

KEEP_S = 3600  # who does not ask again within that has another plan
MOST = 1024  # rows; one for each job that runs, and each whose caller was not told yet
CHARACTERS = 1000  # of the text of a failure


class Outcome(StrEnum):
    """What became of a job. `INTERRUPTED`: its server ended before it did."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How an equal job of an earlier server ended. `text`: why it failed."""

    outcome: Outcome
    text: str


class JobNotes:
    """The notes of one server. One that cannot be made is only missing later: the state says so to who needs it."""

    def __init__(self, state: State, servers: Servers, now: Now) -> None:
        self._state = state
        self._servers = servers
        self._now = now

    async def begin(self, name: str, request: JobRequest) -> Before | None:
        """Note a job that begins. Returns what nobody was told of an equal one.

        How unequal ones ended is forgotten: it is true no more.
        """
        key, digest, at = _hidden(request.key), _hidden(request.digest), int(self._now().timestamp())

        gone = await self._gone(key)

        def work(db: Sql) -> Before | None:
            db.begin()
            found = None
            rows = db.execute("SELECT job, digest, server, outcome, text FROM jobs WHERE key = ? ORDER BY at", (key,))
            for job, other, server, said, text in rows.fetchall():
                outcome = Outcome(said)
                if outcome is Outcome.RUNNING:
                    if other != digest or server not in gone:
                        continue
                    outcome = Outcome.INTERRUPTED
                db.execute("DELETE FROM jobs WHERE job = ?", (job,))
                found = Before(outcome=outcome, text=text) if other == digest else None
            row = (name, key, digest, self._servers.own, at, Outcome.RUNNING.value, "")
            db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            _clear(db, at)
            return found

        return await self._noted(work, None)

    async def end(self, name: str, failure: Exception | None, *, is_owed: bool) -> None:
        """Note how a job ended whose caller was told to come back for it; any other is forgotten."""
        outcome = Outcome.DONE if failure is None else Outcome.FAILED
        text = one_line(SECRETS.clean(str(failure)), CHARACTERS) if isinstance(failure, WsError) else ""
        if not is_owed:
            await self.forget(name)
            return

        def work(db: Sql) -> None:
            values = (outcome.value, text or "by a bug of ws-mcp; its log has the details", name)
            db.execute("UPDATE jobs SET outcome = ?, text = ? WHERE job = ?", values)

        await self._noted(work, None)

    async def forget(self, name: str) -> None:
        """Who asked for a job was told, or what it made is something else by now."""
        await self._noted(lambda db: db.execute("DELETE FROM jobs WHERE job = ?", (name,)) and None, None)

    async def _gone(self, key: str) -> frozenset[str]:
        """The servers that have ended, of those that were at it; none comes back."""
        statement = "SELECT DISTINCT server FROM jobs WHERE key = ? AND outcome = ?"
        values = (key, Outcome.RUNNING.value)
        rows: list[tuple[str]] = await self._noted(lambda db: db.execute(statement, values).fetchall(), [])
        return frozenset([server for (server,) in rows if not await self._lives(server)])

    async def _lives(self, server: str) -> bool:
        try:
            return await self._servers.lives(server)
        except StateError:
            return True

    async def _noted(self, work: Callable[[Sql], T], other: T) -> T:
        try:
            return await self._state.run(work)
        except StateError as error:
            log.warning("a restart would not know of a job: %s", error)
            return other


def _hidden(text: str) -> str:
    # Only ever compared; in it are paths with any bytes, and what sets parts apart.
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def _clear(db: Sql, at: int) -> None:
    db.execute("DELETE FROM jobs WHERE at < ?", (at - KEEP_S,))
    db.execute("DELETE FROM jobs WHERE job NOT IN (SELECT job FROM jobs ORDER BY at DESC LIMIT ?)", (MOST,))
