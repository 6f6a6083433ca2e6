"""The file behind the state, and who the instance is; and the tables, which a database on a server has, too."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.errors import StateError, StorageFullError, one_line, unwritten

SCHEMA = 6
BUSY_S = 5.0  # how long a write waits for another server's; theirs take well under a millisecond
KEY = 32  # bytes of the key that signs labels
# What SQLite says of a damaged schema can hold its bytes, and Python fails to read that.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
DATABASE = "state.db"
LOCKS = "locks"  # its files outlive a server that died before there was a database
SERVER = "server-"  # how the names begin under which servers are there
OPENING = "opening"  # the lock of whoever makes or migrates the database: no place and no volume is called so
_INSTANCE = re.compile(rb"[0-9a-f]{16}")

TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chats (
    chat TEXT PRIMARY KEY, principal TEXT NOT NULL, label TEXT NOT NULL, created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS starts (
    chat TEXT NOT NULL, request_key TEXT NOT NULL, digest TEXT NOT NULL, process TEXT NOT NULL, place TEXT NOT NULL,
    boot TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (chat, request_key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS starts_by_age ON starts (at);
CREATE TABLE IF NOT EXISTS fills (
    engine TEXT NOT NULL, volume TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (engine, volume)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intents (
    place TEXT PRIMARY KEY, kind TEXT NOT NULL, objects TEXT NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secrets (
    place TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (place, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS provisions (
    chat TEXT NOT NULL, request_key TEXT NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (chat, request_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS idle_stops (place TEXT PRIMARY KEY, idle_stop_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS disk_holds (
    place TEXT PRIMARY KEY, container TEXT NOT NULL, size INTEGER NOT NULL, quota_mib INTEGER NOT NULL,
    until INTEGER NOT NULL, is_final INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS devcontainers (
    engine TEXT NOT NULL, container TEXT NOT NULL, folder BLOB NOT NULL, config BLOB NOT NULL, body TEXT NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (engine, container)
);
CREATE TABLE IF NOT EXISTS devcontainer_keys (
    folder BLOB NOT NULL, config BLOB NOT NULL, name TEXT NOT NULL, error TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (folder, config)
);
CREATE TABLE IF NOT EXISTS devcontainer_errors (
    engine TEXT NOT NULL, folder BLOB NOT NULL, config BLOB NOT NULL, error TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (engine, folder, config)
);
CREATE TABLE IF NOT EXISTS jobs (
    job TEXT PRIMARY KEY, key TEXT NOT NULL, digest TEXT NOT NULL, server TEXT NOT NULL, at INTEGER NOT NULL,
    outcome TEXT NOT NULL, text TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_key ON jobs (key);
CREATE TABLE IF NOT EXISTS tickets (
    ticket TEXT PRIMARY KEY, principal TEXT NOT NULL, chat TEXT NOT NULL, tool TEXT NOT NULL, what TEXT NOT NULL,
    server TEXT NOT NULL, began_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, state TEXT NOT NULL,
    message TEXT NOT NULL, answer BLOB NOT NULL
) WITHOUT ROWID;
"""

# Added to the tables of older directories, too; a row from before them has the default.
COLUMNS = (
    ("starts", "is_confirmed", "INTEGER NOT NULL DEFAULT 0"),
    ("chats", "used_at", "TEXT NOT NULL DEFAULT ''"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Who this state directory is: `id` goes into labels, `key` signs them and never leaves the directory."""

    id: str
    key: bytes


def open_database(directory: Path, check: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """The database of a state directory, made on first use. To be called by one server at a time.

    `check`: looks at what there is, before anything of it is changed.

    Raises:
        StateError, sqlite3.Error, UnicodeDecodeError
    """
    path = directory / DATABASE
    try:
        path.touch(mode=0o600)
    except OSError as error:
        said = f"the state file cannot be opened ({error.strerror}); choose another with --state"
        raise unwritten(error, said) from error
    database = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, isolation_level="IMMEDIATE")
    try:
        check(database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        migrate(database)
        instance_of(database)  # while a damaged one can still be closed
    except BaseException:
        database.close()
        raise
    return database


def newer(version: int) -> StateError:
    """The failure of a state that a later version wrote: it is not touched."""
    return StateError(f"the state directory was written by a newer ws-mcp (schema {version}); upgrade this one")


def migrate(database: sqlite3.Connection, instance: Instance | None = None) -> None:
    """Give it the tables that this version has; a new one is of a new instance, or of `instance`.

    Raises:
        StateError: it is newer.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise newer(version)
    if version == SCHEMA:
        return
    # executescript would commit on its own, and without BEGIN each statement that makes a table would, too.
    with database:
        database.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, TABLES.split(";")):
            database.execute(statement)
        for table, column, kind in COLUMNS:
            if column not in {row[1] for row in database.execute(f"PRAGMA table_info({table})")}:
                database.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        made = instance or Instance(id=secrets.token_hex(8), key=secrets.token_bytes(KEY))
        for name, value in (("instance", made.id.encode()), ("key", made.key)):
            database.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", (name, value))
        database.execute(f"PRAGMA user_version = {SCHEMA}")


def instance_of(database: sqlite3.Connection) -> Instance:
    """Who this state directory is.

    Raises:
        StateError: it does not say so any more.
    """
    return instance_in(database.execute("SELECT name, value FROM meta").fetchall())


def instance_in(meta: list[tuple[object, object]]) -> Instance:
    """As `instance_of`, by the rows of the table that says it."""
    rows = dict(meta)
    name, key = rows.get("instance"), rows.get("key")
    if not isinstance(name, bytes) or not _INSTANCE.fullmatch(name) or not isinstance(key, bytes) or len(key) != KEY:
        raise StateError("the state is damaged: it does not say whose it is; see `ws-mcp doctor`")
    return Instance(id=name.decode(), key=key)


_UNWRITABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)


def readable(error: sqlite3.Error) -> StateError:
    """What SQLite says, for the model that reads it."""
    text = f"the state directory cannot be used now ({one_line(str(error))}); see `ws-mcp doctor`"
    is_full = getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE
    return StorageFullError(text) if is_full else StateError(text)
