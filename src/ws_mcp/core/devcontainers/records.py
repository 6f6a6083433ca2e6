"""What is kept of dev containers: by container what it was made from, by key its name, and its last error by engine.

A container's id is never used again, so a record cannot be wrong about another one. Several servers write here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime

from ws_mcp.core.clock import Now
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.names import names_of
from ws_mcp.core.engine.record import Record as Members
from ws_mcp.core.errors import one_line
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Sql

log = logging.getLogger(__name__)

MAX_RECORDS = 1000  # each has a digest for every input: some 100 KB for a large project
MAX_KEYS = 2000
MAX_ERROR = 4000  # characters; the 40 lines of a failed build
FRESH_S = 60  # a server that looked before a container was made must not forget what another one kept of it since
SEEN_S = 3600  # how exactly is known when a key was seen last; so that a look at the list writes nothing
KEEP_NAMES_S = (
    7 * 86_400
)  # the name of a project that is away (an unplugged disk, another branch) is not given to others


class Records:
    """The tables of dev containers. `engine_of` says which engine it is; its records are of no concern to another's.

    Every call may raise StateError.
    """

    def __init__(
        self,
        state: State,
        engine_of: Callable[[], Awaitable[str]],
        now: Now,
        *,
        max_records: int = MAX_RECORDS,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._state = state
        self._max_records = max_records
        self._max_keys = max_keys
        self._engine_of = engine_of
        self._engine = ""
        self._now = now

    async def all(self) -> Mapping[ContainerId, Record]:
        """Every record of this engine."""
        engine = await self._asked()
        rows = await self._state.run(
            lambda db: db.execute(
                "SELECT container, folder, config, body FROM devcontainers WHERE engine = ?", (engine,)
            ).fetchall()
        )
        records = (_record_of(row) for row in rows)
        return {record.container: record for record in records if record is not None}

    async def keep(self, record: Record) -> None:
        """Keep it in place of what is kept of this container."""
        key, body = record.key, _body_of(record)
        row = (await self._asked(), record.container, _bytes(key.folder), _bytes(key.config), body, self._at())

        def work(db: Sql) -> None:
            # Not updated: what is written last has to be the newest row, also within one second.
            db.execute("DELETE FROM devcontainers WHERE engine = ? AND container = ?", row[:2])
            db.execute("INSERT INTO devcontainers VALUES (?, ?, ?, ?, ?, ?)", row)
            _bound(db, "devcontainers", self._max_records)

        await self._state.run(work)

    async def forget(self, containers: Collection[ContainerId]) -> None:
        """Of containers that are gone; what was kept within the last minute stays until the next time."""
        engine, until = await self._asked(), self._at() - FRESH_S
        rows = [(engine, container, until) for container in containers]
        await self._state.run(
            lambda db: db.executemany("DELETE FROM devcontainers WHERE engine = ? AND container = ? AND at <= ?", rows)
        )

    async def errors(self) -> Mapping[Key, str]:
        """What the last attempt for each key failed with on this engine."""
        engine = await self._asked()
        rows = await self._state.run(
            lambda db: db.execute(
                "SELECT folder, config, error FROM devcontainer_errors WHERE engine = ?", (engine,)
            ).fetchall()
        )
        return {_key_of(folder, config): error for folder, config, error in rows}

    async def set_error(self, key: Key, text: str) -> None:
        """Keep it; "" = it went well."""
        cut = text.encode(errors="replace").decode()[:MAX_ERROR]
        row = (await self._asked(), _bytes(key.folder), _bytes(key.config), cut, self._at())

        def work(db: Sql) -> None:
            db.execute("DELETE FROM devcontainer_errors WHERE engine = ? AND folder = ? AND config = ?", row[:3])
            db.execute("INSERT INTO devcontainer_errors VALUES (?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM devcontainer_errors WHERE error = ''")
            _bound(db, "devcontainer_errors", self._max_keys)

        await self._state.run(work)

    async def names(self, keys: Collection[Key], taken: Collection[str] = ()) -> dict[Key, str]:
        """A name for each, the same on every server of this instance, and the same tomorrow."""
        wanted, now = sorted(set(keys)), self._at()

        def work(db: Sql) -> dict[Key, str]:
            names, changes = _named(db, wanted, taken, now)
            if changes:
                # Again, where no other server can give names away in between.
                db.begin()
                names, changes = _named(db, wanted, taken, now)
                # The fourth is the error, which is one of an engine since version 4.
                db.executemany(
                    "INSERT INTO devcontainer_keys VALUES (?, ?, ?, '', ?) "
                    "ON CONFLICT (folder, config) DO UPDATE SET name = excluded.name, at = excluded.at",
                    changes,
                )
                _bound(db, "devcontainer_keys", self._max_keys)
            return names

        return await self._state.run(work)

    async def _asked(self) -> str:
        self._engine = self._engine or await self._engine_of()
        return self._engine

    def _at(self) -> int:
        return int(self._now().timestamp())


_Change = tuple[bytes, bytes, str, int]


def _named(db: Sql, wanted: list[Key], taken: Collection[str], now: int) -> tuple[dict[Key, str], list[_Change]]:
    """The names, and the rows that are to be written for them."""
    rows = db.execute("SELECT folder, config, name, at FROM devcontainer_keys WHERE name <> ''").fetchall()
    given = {_key_of(folder, config): name for folder, config, name, _ in rows}
    seen = {_key_of(folder, config): int(at) for folder, config, _, at in rows}
    away = {name for key, name in given.items() if key not in wanted and now - seen[key] < KEEP_NAMES_S}
    names = names_of(wanted, given, away | set(taken))
    changes = [
        (_bytes(key.folder), _bytes(key.config), name, now)
        for key, name in names.items()
        if given.get(key) != name or now - seen[key] >= SEEN_S
    ]
    return names, changes


def _bytes(path: str) -> bytes:
    # A name on this machine need not be text.
    return path.encode(errors="surrogatepass")


def _key_of(folder: bytes, config: bytes) -> Key:
    return Key(folder=folder.decode(errors="surrogatepass"), config=config.decode(errors="surrogatepass"))


def _bound(db: Sql, table: str, limit: int) -> None:
    newest = f"SELECT rowid FROM {table} ORDER BY at DESC, rowid DESC LIMIT ?"  # noqa: S608 - a name of ours
    db.execute(f"DELETE FROM {table} WHERE rowid NOT IN ({newest})", (limit,))  # noqa: S608


def _body_of(record: Record) -> str:
    return json.dumps(
        {
            "parts": dict(record.parts),
            "is_complete": record.is_complete,
            "error": record.error[:MAX_ERROR],
            "is_adopted": record.is_adopted,
            "user": record.user,
            "path": record.path,
            "image_id": record.image_id,
            "made_at": record.made_at.isoformat() if record.made_at is not None else None,
        }
    )


def _record_of(row: tuple[str, bytes, bytes, str]) -> Record | None:
    container, folder, config, body = row
    try:
        members = Members(json.loads(body))
        made_at = members.text("made_at")
        return Record(
            container=ContainerId(container),
            key=_key_of(folder, config),
            parts=members.record("parts").strings(),
            is_complete=members.flag("is_complete"),
            error=members.text("error"),
            is_adopted=members.flag("is_adopted"),
            user=members.text("user"),
            path=members.text("path"),
            image_id=members.text("image_id"),
            made_at=datetime.fromisoformat(made_at) if made_at else None,
        )
    except ValueError as error:
        # Its container is judged like one that others made.
        log.warning("what was kept of container %s cannot be read: %s", container[:12], one_line(str(error)))
        return None
