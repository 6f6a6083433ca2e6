"""How old it is what the state keeps: counted while a server lives, so that a wall clock that jumps makes nothing old.

For the time in which no server lived there is only the wall clock: what it says of that counts, but a day at most, and
where a server that counted lives still, no more than it may not have noted yet.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio

from ws_mcp.core.clock import Now
from ws_mcp.core.repeat import repeat
from ws_mcp.core.servers import Servers
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Sql

GAP = timedelta(days=1)  # whatever the wall clock says: what is kept for a week outlives some clocks that are set wrong
NOTE_S = 300.0  # between two notes of how far it has counted
NOTED = "ages"  # a row of the table of facts
SERVERS = 16  # that counted last, of which one may live

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """How far it had counted when the wall clock showed `wall`; `servers`: who did, the last one first."""

    counted: datetime
    wall: datetime
    servers: tuple[str, ...]


class Ages:
    """A `Now` that never jumps: what it says is kept, and compared with what it says later, in any server.

    `wall`: the wall clock, for what people are shown.
    """

    def __init__(self, wall: Now, shows: datetime, began: datetime) -> None:
        self.wall = wall
        self._began, self._began_s = began, anyio.current_time()
        self._ahead = shows - began

    def __call__(self) -> datetime:
        return self._began + timedelta(seconds=anyio.current_time() - self._began_s)

    def shown(self, moment: datetime) -> datetime:
        """What the wall clock showed at a moment of this one, as far as can be told."""
        return moment + self._ahead


@asynccontextmanager
async def open_ages(state: State, servers: Servers, now: Now) -> AsyncGenerator[Ages]:
    """Count as long as the block runs. A state that cannot be written is no reason not to: then less is counted.

    Raises:
        StateError: it cannot be read.
    """
    noted = await state.run(_noted)
    is_counted = any([await servers.lives(each) for each in noted.servers]) if noted is not None else False
    shows = now()
    ages = Ages(now, shows, _began(noted, shows, timedelta(seconds=NOTE_S) if is_counted else GAP))

    async def note() -> None:
        noted = _Note(counted=ages(), wall=now(), servers=(servers.own,))
        await state.run(lambda db: _note(db, noted))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(repeat, "the count of ages", NOTE_S, note)
        yield ages
        tasks.cancel_scope.cancel()


def _began(noted: _Note | None, wall: datetime, most: timedelta) -> datetime:
    if noted is None:
        return wall
    return noted.counted + min(max(wall - noted.wall, timedelta()), most)


def _noted(db: Sql) -> _Note | None:
    row = db.execute("SELECT value FROM meta WHERE name = ?", (NOTED,)).fetchone()
    if row is None:
        return None
    try:
        counted, wall, servers = json.loads(bytes(row[0]))
        return _Note(counted=_moment(counted), wall=_moment(wall), servers=tuple(map(str, servers)))
    except (ValueError, TypeError, OverflowError, OSError) as error:
        log.warning("how far the age of what is kept was counted cannot be read: %s", error)
        return None


def _note(db: Sql, note: _Note) -> None:
    """Never less than another server has counted."""
    db.begin()
    noted = _noted(db) or note
    counted = max(note.counted, noted.counted)
    servers = list(dict.fromkeys((*note.servers, *noted.servers)))[:SERVERS]
    value = json.dumps([counted.timestamp(), note.wall.timestamp(), servers]).encode()
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (NOTED, value))


def _moment(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)
