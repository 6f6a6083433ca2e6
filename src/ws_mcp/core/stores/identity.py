"""Who the instance is, a second time, beside its state file: a state that is damaged must not take the key with it.

Without the key no label can be verified and no execd be opened. A state file of before this was written is searched for
the key byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from pathlib import Path
from typing import cast

from ws_mcp.core.database import DATABASE, KEY, Instance, instance_in
from ws_mcp.core.errors import StateError
from ws_mcp.core.replacing import replace_file

FILE = "identity"
MAX_BYTES = 4096
SEARCHED_BYTES = 256 << 20

# How SQLite writes the two rows of `meta`: the sizes of name and value, then both.
# Source: sqlite.org/fileformat2.html, sections 2.1 and 2.2 (a text of n bytes is 13 + 2n, a blob 12 + 2n).
_NAME = re.compile(rb"\x03\x1d\x2cinstance([0-9a-f]{16})")
_KEY = re.compile(rb"\x03\x13\x4ckey(.{%d})" % KEY, re.DOTALL)

log = logging.getLogger(__name__)


class DamagedIdentityError(StateError):
    """The file is there and does not say who the instance is."""


def read_identity(directory: Path) -> Instance | None:
    """What the file says; None where there is none.

    Raises:
        DamagedIdentityError
    """
    try:
        with (directory / FILE).open("rb") as file:
            text = file.read(MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedIdentityError(f"the identity file cannot be read ({error.strerror})") from error
    try:
        said = cast("dict[str, str]", json.loads(text))
        name, key, check = said["instance"], bytes.fromhex(said["key"]), said["check"]
        found = instance_in([("instance", name.encode()), ("key", key)])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, StateError) as error:
        raise DamagedIdentityError("the identity file is damaged") from error
    if check != _check(name, key):
        raise DamagedIdentityError("the identity file is damaged")
    return found


def keep_identity(directory: Path, instance: Instance) -> None:
    """Write it down unless it is. What is damaged there is moved aside. A disk that does not take it is no failure."""
    try:
        if read_identity(directory) is not None:
            return
    except DamagedIdentityError:
        log.warning("the identity file was damaged; the state is whole, so it is written again, and the old one kept")
        try:
            (directory / FILE).rename(directory / f"{FILE}.damaged")
        except OSError:
            return
    try:
        write_identity(directory, instance)
    except OSError as error:
        log.warning("who this instance is cannot be written down a second time: %s", error.strerror)


def write_identity(directory: Path, instance: Instance) -> None:
    """Write it down.

    Raises:
        OSError
    """
    key = instance.key.hex()
    said = {"instance": instance.id, "key": key, "check": _check(instance.id, instance.key)}
    replace_file(directory / FILE, json.dumps(said))


def found_identity(directory: Path) -> Instance | None:
    """Who the instance is, by its file or by what is left of its state; None: nobody can tell any more."""
    try:
        if (said := read_identity(directory)) is not None:
            return said
    except DamagedIdentityError as error:
        log.warning("%s: the state file is searched for it", error)
    for name in (f"{DATABASE}-wal", DATABASE):
        try:
            with (directory / name).open("rb") as file:
                if (carved := carved_identity(file.read(SEARCHED_BYTES))) is not None:
                    return carved
        except OSError:
            continue
    return None


def carved_identity(content: bytes) -> Instance | None:
    """The instance whose rows are somewhere in these bytes of a state file (pure)."""
    name, key = _NAME.search(content), _KEY.search(content)
    return Instance(id=name[1].decode(), key=key[1]) if name and key else None


def _check(name: str, key: bytes) -> str:
    return hashlib.sha256(f"{name}\0{key.hex()}".encode()).hexdigest()[:16]
