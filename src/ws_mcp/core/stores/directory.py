"""The directory that a machine has for the state, or for what it alone has of one that is in a database elsewhere."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from ws_mcp.core.database import DATABASE, LOCKS, Instance
from ws_mcp.core.errors import StateError, unwritten
from ws_mcp.core.stores.identity import FILE as IDENTITY

OWNER = "instance"  # whose directory it is, where the state itself is elsewhere
FIRST = frozenset({LOCKS, "tokens", "tokens.lock"})  # what may be there before one of these is


def make_directory(directory: Path, *, has_state: bool) -> None:
    """Make a state directory ready for its locks; `has_state`: the state itself is there, too.

    Raises:
        StateError: it cannot be one.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(directory)
        _check_content(directory, has_state=has_state)
        directory.chmod(0o700)
        (directory / LOCKS).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        said = f"the state directory cannot be made ({error.strerror}); choose another with --state"
        raise unwritten(error, said) from error


def own_directory(directory: Path, instance: Instance) -> None:
    """Write down in it which instance it belongs to, whose state is elsewhere.

    Raises:
        StateError: it belongs to another one.
    """
    file, fresh = directory / OWNER, directory / f"{OWNER}.{secrets.token_hex(4)}"
    try:
        fresh.write_text(instance.id)
        with suppress(FileExistsError):
            file.hardlink_to(fresh)
        fresh.unlink()
        found = file.read_text()
    except OSError as error:
        raise StateError(
            f"the state directory cannot be used ({error.strerror}); choose another with --state"
        ) from error
    if found != instance.id:
        raise StateError("the state directory belongs to another state database; choose another with --state")


def _check_owner(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StateError(
            "the state directory must be a real directory that belongs to you; choose another with --state"
        )


def _check_content(directory: Path, *, has_state: bool) -> None:
    # Its mode is about to change: somebody's home or /tmp must not be taken for a state directory.
    # Read before its database is looked for: whoever makes the files makes the database first.
    names = {entry.name for entry in directory.iterdir()}
    has_database, has_owner = (directory / DATABASE).exists(), (directory / OWNER).exists()
    if has_database and not has_state:
        raise StateError(
            "the state directory has a state of its own, whose workspaces would be lost from sight: with "
            "--state-database choose an empty or a new directory with --state"
        )
    if has_owner and has_state and not has_database:
        raise StateError(
            "the state of this directory is in a database: name it with --state-database, or choose another directory "
            "with --state"
        )
    has_identity = IDENTITY in names  # of a state file that is gone: that is damage, and not somebody's directory
    if names - FIRST and not (has_database or has_owner or has_identity):
        raise StateError(
            "the state directory has files that are not ws-mcp's; choose an empty or a new one with --state"
        )
