"""What is wrong with a state file, looked at before SQLite touches it, and after.

SQLite takes an empty file for a new database: where an instance was, that would be the loss of all its workspaces.
"""

from __future__ import annotations

import sqlite3
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ws_mcp.core.database import DATABASE, LOCKS, SCHEMA, TABLES, instance_of, newer, readable
from ws_mcp.core.errors import DamagedStateError, StateError, one_line
from ws_mcp.core.stores.identity import FILE, DamagedIdentityError, read_identity

MAGIC = b"SQLite format 3\0"
VERSION_AT = 60  # of the schema, in the first page
MAX_VERSION = 10_000  # of a newer ws-mcp; what is above is no version
WHY_CHARACTERS = 120  # of what SQLite says
HEADER, FRAME = 32, 24  # bytes of the header of a WAL, and of each frame in it
# What a server makes before it has a database, and what the database makes beside itself.
BEFORE = frozenset({LOCKS, "tokens", "tokens.lock", "bus", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"})
_NAMES = frozenset(line.split()[5] for line in TABLES.splitlines() if line.startswith("CREATE TABLE"))


def damaged(why: str) -> DamagedStateError:
    """The failure, for the model and for the person that it asks."""
    short = one_line(why, WHY_CHARACTERS)
    return DamagedStateError(
        f"the state is damaged ({short}): nothing is changed until the operator has run `ws-mcp repair`, which shows "
        "what can be saved; `ws-mcp doctor` says more"
    )


def has_state(directory: Path) -> bool:
    """Whether there is, or was, a state in a directory; it need not be whole."""
    return (directory / DATABASE).exists() or (directory / FILE).exists()


def check_file(directory: Path) -> None:
    """Look at the file before it is opened; nothing is touched.

    Raises:
        DamagedStateError
        StateError: a newer ws-mcp wrote it, or it cannot be read.
    """
    path = directory / DATABASE
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise damaged("there is something else in place of the state file")
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        header = b""
    except OSError as error:
        raise StateError(f"the state file cannot be read ({error.strerror}); see `ws-mcp doctor`") from error
    if not header:
        check_new(directory)
        return
    if len(header) < 100 or not header.startswith(MAGIC):
        raise damaged("the state file is no database")
    version = max(struct.unpack_from(">I", header, VERSION_AT)[0], _version_in_wal(directory / f"{DATABASE}-wal"))
    if version > MAX_VERSION:
        raise damaged("it says no version that there can be")
    if version > SCHEMA:
        raise newer(version)


def check_new(directory: Path) -> None:
    """That there was no instance here before, where there is no state.

    Raises:
        DamagedStateError
    """
    if (directory / FILE).exists() or {entry.name for entry in directory.iterdir()} - BEFORE:
        raise damaged("the state file is gone or empty")


def check_content(database: sqlite3.Connection, directory: Path) -> None:
    """Look at what SQLite reads, before anything is migrated.

    Raises:
        DamagedStateError
    """
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:
        check_new(directory)
        return
    if "meta" not in tables:
        raise damaged("the state file is another program's, or has lost its tables")
    try:
        instance = instance_of(database)
    except StateError as error:
        raise damaged("it does not say whose it is") from error
    with suppress(DamagedIdentityError):
        if read_identity(directory) not in (None, instance):
            raise damaged("it says that it is another instance's")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA and (lost := _NAMES - tables):
        raise damaged(f"it has lost the table {min(lost)}")
    if (said := first(database.execute("PRAGMA quick_check(1)").fetchall())) != "ok":
        raise damaged(said)


def first(rows: list[tuple[object]]) -> str:
    """The first word of a check."""
    return str(rows[0][0]) if rows else "nothing"


def translated(error: sqlite3.Error | UnicodeDecodeError) -> StateError:
    """What SQLite says, for the model that reads it; what it says of a damaged file names the repair."""
    if isinstance(error, UnicodeDecodeError):
        return damaged("what it holds is no text")
    if primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(str(error))
    return readable(error)


def primary(error: sqlite3.Error) -> int:
    """The code of SQLite for the kind of failure; 0 where Python itself failed."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _version_in_wal(path: Path) -> int:
    """The schema of the newest first page in a write-ahead log, which counts more than the file; 0: none is there."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER)
            if len(head) < HEADER:
                return 0
            size, salts = struct.unpack_from(">I", head, 8)[0], head[16:24]
            if not 512 <= size <= 65536:
                return 0
            return max(_versions(iter(lambda: file.read(FRAME + size), b""), salts), default=0)
    except OSError:
        return 0


def _versions(frames: Iterable[bytes], salts: bytes) -> Iterable[int]:
    for frame in frames:
        if len(frame) < FRAME + VERSION_AT + 4 or frame[8:16] != salts:
            return
        if frame[:4] == b"\0\0\0\1" and frame[FRAME:].startswith(MAGIC):
            yield struct.unpack_from(">I", frame, FRAME + VERSION_AT)[0]
