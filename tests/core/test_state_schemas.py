"""A state of each version that ever was is opened by this one, and keeps its rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ws_mcp.core.database import DATABASE, SCHEMA
from ws_mcp.core.state import open_state

pytestmark = pytest.mark.usefixtures("real_io")

SCHEMAS = Path(__file__).parent / "schemas"  # as the last commit with each version made them
OLDER = sorted(int(file.stem) for file in SCHEMAS.glob("*.sql"))


def columns_of(directory: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(directory / DATABASE)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: {row[1] for row in database.execute(f"PRAGMA table_info({table})")} for table in tables}


def test_each_version_before_this_one_is_here() -> None:
    assert list(range(1, SCHEMA)) == OLDER


@pytest.mark.parametrize("version", OLDER)
async def test_an_older_state_keeps_its_rows_and_has_all_tables_of_this_version(version: int, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o700)
    with closing(sqlite3.connect(old / DATABASE)) as database:
        database.executescript((SCHEMAS / f"{version}.sql").read_text())
        database.execute("INSERT INTO meta VALUES ('instance', ?), ('key', ?)", (b"0123456789abcdef", b"k" * 32))
        database.execute("INSERT INTO chats (chat, principal, label, created_at) VALUES ('c', 'p', 'l', '2026-01-01')")
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()
    async with open_state(tmp_path / "new"):
        pass
    for _ in range(2):
        async with open_state(old) as state:
            assert state.instance.id == "0123456789abcdef"
            assert state.instance.key == b"k" * 32
            assert await state.known_chats() == {("c", "p")}
    assert columns_of(old) == columns_of(tmp_path / "new")
