"""From the SQL that both stores have in common to PostgreSQL's (pure)."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256

_WORDS = {
    "BLOB": "BYTEA",
    "INTEGER": "BIGINT",
    "TEXT": 'TEXT COLLATE "C"',
}  # text is compared by its bytes, as SQLite's
_TYPE = re.compile(rf"\b({'|'.join(_WORDS)})\b")
_WITHOUT_ROWID = re.compile(r"\)\s*WITHOUT ROWID\s*$")
_TABLE = re.compile(r"\s*CREATE TABLE\b")
_WRITES = ("INSERT", "UPDATE", "DELETE")


@lru_cache(maxsize=256)
def statement_of(common: str) -> bytes:
    """A statement with `%s` for each `?`."""
    return common.replace("%", "%%").replace("?", "%s").encode()


def writes(common: str) -> bool:
    """Whether a statement changes anything."""
    return common.lstrip()[:6].upper() in _WRITES


def value_of(value: object) -> object:
    """A value as PostgreSQL takes it: a bool is no number there."""
    return int(value) if isinstance(value, bool) else value


def definition_of(common: str) -> str:
    """A statement that makes a table or an index. A table with row ids gets a column that counts as they do."""
    typed = _TYPE.sub(lambda found: _WORDS[found[0]], common)
    if not _TABLE.match(typed):
        return typed
    bare = _WITHOUT_ROWID.sub(")", typed)
    return bare if bare != typed else typed.rstrip()[:-1] + ", rowid BIGSERIAL)"


def lock_key(*parts: str) -> int:
    """The number of a name, as PostgreSQL's locks have them: 64 bits with a sign."""
    return int.from_bytes(sha256("\0".join(parts).encode()).digest()[:8], "big", signed=True)
