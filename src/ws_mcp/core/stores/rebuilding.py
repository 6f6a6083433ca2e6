"""Puts a new state file in the place of a damaged one, which is kept under another name. It never deletes anything.

Whoever ends it in between leaves a state that is still damaged, and the next try goes on with what was made by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from ws_mcp.core.database import DATABASE, LOCKS, SERVER, Instance
from ws_mcp.core.errors import DamagedStateError, StateError
from ws_mcp.core.replacing import sync
from ws_mcp.core.stores.damage import check_file, damaged
from ws_mcp.core.stores.files import FileLocks
from ws_mcp.core.stores.identity import FILE, DamagedIdentityError, read_identity, write_identity
from ws_mcp.core.stores.salvage import FRESH, Table, empty, put
from ws_mcp.core.stores.sqlite import open_whole

SIDES = ("-wal", "-shm", "-journal")


def damage_of(directory: Path) -> DamagedStateError | None:
    """What is wrong with a state that is there; None: nothing is. To be called under the lock of who opens it.

    Raises:
        StateError: a newer ws-mcp wrote it, or it cannot be read at all.
    """
    try:
        check_file(directory)
        open_whole(directory).close()
    except DamagedStateError as error:
        return error
    return None


def servers_on(directory: Path) -> int:
    """How many servers have this state open."""
    return FileLocks(directory / LOCKS).clear(SERVER)


def rebuild(directory: Path, instance: Instance, tables: Sequence[Table], now: datetime) -> str:
    """Make the state whole again with what was salvaged; returns the name that the damaged file has from now on.

    Raises:
        StateError: it cannot be written; then nothing has changed, but perhaps a name of the damaged file.
    """
    aside = f"{DATABASE}.damaged-{now:%Y%m%dT%H%M%SZ}"
    try:
        _make(directory / FRESH, instance, tuple(tables))
        _keep_identity(directory, instance, now)
        _move(directory / DATABASE, directory / aside)
        for side in SIDES:  # before the new file is there: a log that is not its own would be read into it
            _move(directory / f"{DATABASE}{side}", directory / f"{aside}{side}")
        (directory / FRESH).replace(directory / DATABASE)
        sync(directory)
    except OSError as error:
        raise StateError(f"the state cannot be repaired ({error.strerror}): make room, then try again") from error
    if (left := damage_of(directory)) is not None:
        raise damaged("it was repaired, and is damaged again: look at the disk") from left
    return aside


def _make(path: Path, instance: Instance, tables: tuple[Table, ...]) -> None:
    begun = path.with_name(f"{path.name}.new")
    begun.unlink(missing_ok=True)
    begun.touch(mode=0o600)
    with closing(empty(instance, str(begun))) as database:
        put(database, tables)
    sync(begun)
    begun.replace(path)


def _keep_identity(directory: Path, instance: Instance, now: datetime) -> None:
    try:
        if read_identity(directory) == instance:
            return
    except DamagedIdentityError:
        pass
    _move(directory / FILE, directory / f"{FILE}.damaged-{now:%Y%m%dT%H%M%SZ}")
    write_identity(directory, instance)


def _move(path: Path, aside: Path) -> None:
    if path.exists() or path.is_symlink():
        path.rename(aside)
