"""What can still be read of a damaged state file, row by row. It works on a copy: the damaged file is evidence.

A table is read from its beginning as far as that goes, and then from its end. A row counts only if each of its values
is of the kind that the column takes: what a flipped bit made of it must not be taken for what was written.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.database import DAMAGE, DATABASE, Instance, migrate
from ws_mcp.core.errors import StateError

BESIDE = ("", "-wal")  # of a database file; its shared memory is made anew
FRESH = f"{DATABASE}.repaired"  # what a repair made, until it has its place
COPY = "repair-"  # how the name of the directory of a copy begins
_KINDS: Mapping[str, type] = {"TEXT": str, "INTEGER": int, "BLOB": bytes}

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was read of a table; `is_whole`: nothing failed on the way."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    is_whole: bool


def salvaged(directory: Path) -> tuple[Table, ...]:
    """The tables of the damaged state in a directory, but for who the instance is. Nothing there is changed.

    Raises:
        OSError: there is no room for a copy.
    """
    with closing(empty(Instance(id="0" * 16, key=bytes(32)))) as pattern, _copy(directory) as copy:
        names = [row[0] for row in pattern.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return tuple(_read(copy, pattern, name) for name in names if name != "meta")


def empty(instance: Instance, path: str = ":memory:") -> sqlite3.Connection:
    """A state without anything in it but whose it is."""
    database = sqlite3.connect(path, isolation_level="IMMEDIATE")
    migrate(database, instance)
    return database


def put(database: sqlite3.Connection, tables: tuple[Table, ...]) -> None:
    """Write what was salvaged into an empty state; of two rows with one key the first one counts."""
    with database:
        for table in tables:
            names, marks = ", ".join(table.columns), ", ".join("?" * len(table.columns))
            if table.columns:
                statement = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
                database.executemany(statement, table.rows)


@contextmanager
def _copy(directory: Path) -> Generator[Path]:
    # It holds secrets: nowhere but in the state directory itself.
    for left in directory.glob(f"{COPY}*"):
        _clear(left)  # by one that was killed
    room = Path(tempfile.mkdtemp(prefix=COPY, dir=directory))
    try:
        # Of a repair that was ended in the middle there may be no state any more, but what it had made is whole.
        name = DATABASE if (directory / DATABASE).exists() else FRESH
        for more in BESIDE:
            if (source := directory / f"{name}{more}").is_file():
                shutil.copyfile(source, room / f"{DATABASE}{more}")
        yield room / DATABASE
    finally:
        _clear(room)


def _clear(room: Path) -> None:
    for _ in range(2):  # what one failure leaves, the next try takes
        shutil.rmtree(room, ignore_errors=True)


def _read(copy: Path, pattern: sqlite3.Connection, name: str) -> Table:
    expected = {row[1]: _KINDS[row[2]] for row in pattern.execute(f"PRAGMA table_info({name})")}
    if not copy.exists() or not copy.stat().st_size:
        return Table(name=name, columns=(), rows=(), is_whole=False)
    columns, rows, is_whole = (), dict[Row, None](), False
    with suppress(StateError, *DAMAGE), closing(sqlite3.connect(copy)) as database:
        there = {row[1] for row in database.execute(f"PRAGMA table_info({name})")}
        columns = tuple(column for column in expected if column in there)
        own = pattern.execute(f"PRAGMA table_info({name})").fetchall()
        keys = [row[1] for row in own if row[5]]
        needed = {row[1] for row in own if row[3] and row[4] is None}  # damage may give a column another name
        if columns and needed | set(keys) <= there:
            kinds = tuple(expected[column] for column in columns)
            statement = f"SELECT {', '.join(columns)} FROM {name}"  # noqa: S608 - our own names
            is_whole = _taken(database, statement, kinds, rows)
            if not is_whole:
                back = ", ".join(f"{key} DESC" for key in keys)
                _taken(database, f"{statement} ORDER BY {back}", kinds, rows)
    return Table(name=name, columns=columns, rows=tuple(rows), is_whole=is_whole)


def _taken(database: sqlite3.Connection, statement: str, kinds: tuple[type, ...], rows: dict[Row, None]) -> bool:
    """Read on until something fails; whether nothing did."""
    try:
        found = database.execute(statement)
        while (row := found.fetchone()) is not None:
            if all(type(value) is kind for value, kind in zip(row, kinds, strict=True)):
                rows[row] = None
            else:
                return False
    except (*DAMAGE, OverflowError):
        return False
    return True
