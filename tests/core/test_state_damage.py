"""A state that is damaged: it is noticed, nothing of it is changed, and what can be read of it is saved."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from support.soaked import IS_LONG

from ws_mcp.core.database import DATABASE, SCHEMA, Instance
from ws_mcp.core.errors import DamagedStateError, StateError
from ws_mcp.core.state import StartRecord, State, open_state
from ws_mcp.core.stores.identity import FILE, found_identity
from ws_mcp.core.stores.rebuilding import damage_of, rebuild
from ws_mcp.core.stores.salvage import Table, salvaged

pytestmark = pytest.mark.usefixtures("real_io")

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CASES = 20_000 if IS_LONG else 200
STARTS = 60
SEED = 20261127


@pytest.fixture
def memory_path() -> Generator[Path]:
    """A directory in memory: a disk that syncs for each of many cases would only cost time."""
    with TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


def key_of(number: int) -> str:
    return f"key-{number:04}"


async def fill(state: State, starts: int = STARTS) -> None:
    for number in range(starts):
        record = StartRecord(digest="d" * 64, process=f"p_{number}", place="wsmcp-x", boot="b")
        await state.claim_start("chat", key_of(number), record, NOW)


async def made(directory: Path) -> Instance:
    """A state with some rows in it, closed."""
    async with open_state(directory) as state:
        await fill(state)
        return state.instance


async def cut_off(directory: Path, at: Path) -> Instance:
    """A copy of a state whose server was killed: its newest rows are in the log beside it."""
    async with open_state(directory) as state:
        await fill(state)
        shutil.copytree(directory, at)
        return state.instance


def content_of(directory: Path) -> dict[str, bytes]:
    """The files of the state; what SQLite makes anew does not count."""
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file() and file.suffix != ".db-shm"}


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 - 100)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def zero_page(file: Path) -> None:
    with file.open("r+b") as handle:
        handle.seek(4096)
        handle.write(bytes(4096))


def foreign(file: Path) -> None:
    file.write_bytes(b"\x89PNG this is a picture of a cat " * 300)


def database_of_others(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE cats (name TEXT)")
        database.commit()


def gone(file: Path) -> None:
    file.unlink()


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "letter").write_text("x")


def without_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("DROP TABLE starts")
        database.commit()


def with_another_key(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE meta SET value = zeroblob(32) WHERE name = 'key'")
        database.commit()


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DAMAGES = [
    truncate,
    empty,
    zeros,
    zero_page,
    foreign,
    database_of_others,
    gone,
    directory,
    without_table,
    with_another_key,
    pipe,
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_noticed_and_the_state_is_left_as_it_is(damage: Callable[[Path], None], tmp_path: Path) -> None:
    await made(tmp_path / "s")
    damage(tmp_path / "s" / DATABASE)
    before = content_of(tmp_path / "s")
    for _ in range(2):
        with anyio.fail_after(5), pytest.raises(DamagedStateError, match="ws-mcp repair"):
            async with open_state(tmp_path / "s"):
                pass
    assert content_of(tmp_path / "s") == before


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_server_that_may_only_look_knows_whose_it_is_and_what_is_wrong(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    instance = await made(tmp_path / "s")
    damage(tmp_path / "s" / DATABASE)
    before = content_of(tmp_path / "s")
    async with open_state(tmp_path / "s", may_stand_in=True) as state:
        assert state.instance == instance
        assert "ws-mcp repair" in state.damage
        await fill(state)  # in memory: nothing of it is kept
        async with state.lock("place"), state.presence("server-x"):
            pass
    assert content_of(tmp_path / "s") == before


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_repair_keeps_the_damaged_file_and_the_instance(damage: Callable[[Path], None], tmp_path: Path) -> None:
    instance = await made(tmp_path / "s")
    damage(tmp_path / "s" / DATABASE)
    before = content_of(tmp_path / "s").get(DATABASE)
    aside = repaired(tmp_path / "s", instance)
    async with open_state(tmp_path / "s") as state:
        assert state.instance == instance
        assert not state.damage
        await state.claim_start("chat", "new", StartRecord(digest="d", process="p", place="w", boot="b"), NOW)
    assert aside == f"{DATABASE}.damaged-20260101T000000Z"
    assert before is None or (tmp_path / "s" / aside).read_bytes() == before
    assert list((tmp_path / "s").glob("repair-*")) == []


def repaired(directory: Path, instance: Instance) -> str:
    assert found_identity(directory) == instance
    return rebuild(directory, instance, salvaged(directory), NOW)


async def test_what_is_in_the_log_of_a_killed_server_is_saved_too(tmp_path: Path) -> None:
    instance = await cut_off(tmp_path / "s", tmp_path / "k")
    with_another_key(tmp_path / "k" / DATABASE)
    repaired(tmp_path / "k", instance)
    async with open_state(tmp_path / "k") as state:
        assert [await state.start_of_key("chat", key_of(number)) is not None for number in range(STARTS)] == (
            [True] * STARTS
        )


async def test_a_state_that_has_lost_its_log_is_whole_or_damaged_but_never_a_new_one(tmp_path: Path) -> None:
    instance = await cut_off(tmp_path / "s", tmp_path / "k")
    (tmp_path / "k" / f"{DATABASE}-wal").unlink()
    with pytest.raises(DamagedStateError):  # all that it ever had was in there
        async with open_state(tmp_path / "k"):
            pass
    repaired(tmp_path / "k", instance)
    assert await answer_of(tmp_path / "k", instance) == "whole"
    shutil.copytree(tmp_path / "s", tmp_path / "settled")
    (tmp_path / "settled" / f"{DATABASE}-wal").write_bytes(b"of another time" * 1000)
    assert await answer_of(tmp_path / "settled", instance) == "whole"


async def test_rows_behind_a_broken_page_are_read_from_the_other_end(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        for number in range(400):
            record = StartRecord(digest="d" * 64, process=f"p_{number}", place="wsmcp-x", boot="b")
            await state.claim_start("chat", key_of(number), record, NOW)
    file = tmp_path / "s" / DATABASE
    pages = file.stat().st_size // 4096
    whole = rows_of(salvaged(tmp_path / "s"), "starts")
    assert len(whole) == 400
    content = file.read_bytes()
    broken = next(page for page in range(pages - 1, 0, -1) if b"key-0200" in content[page * 4096 : (page + 1) * 4096])
    with file.open("r+b") as handle:
        handle.seek(broken * 4096)
        handle.write(b"\xff" * 4096)
    left = rows_of(salvaged(tmp_path / "s"), "starts")
    assert 300 < len(left) < 400
    assert set(left) <= set(whole)
    assert {row[1] for row in left} >= {key_of(0), key_of(399)}


def rows_of(tables: tuple[Table, ...], name: str) -> tuple[tuple[object, ...], ...]:
    return next(table.rows for table in tables if table.name == name)


async def test_a_table_whose_column_has_another_name_costs_that_table_only(tmp_path: Path) -> None:
    instance = await made(tmp_path / "s")
    with closing(sqlite3.connect(tmp_path / "s" / DATABASE)) as database:
        database.execute("ALTER TABLE starts RENAME COLUMN digest TO digesu")
    tables = {table.name: table for table in salvaged(tmp_path / "s")}
    assert (tables["starts"].rows, tables["starts"].is_whole, tables["chats"].is_whole) == ((), False, True)
    rebuild(tmp_path / "s", instance, tuple(tables.values()), NOW)
    async with open_state(tmp_path / "s") as state:
        assert await state.start_of_key("chat", key_of(0)) is None


async def test_the_key_is_found_in_a_state_of_before_it_was_written_twice(tmp_path: Path) -> None:
    instance = await made(tmp_path / "s")
    (tmp_path / "s" / FILE).unlink()
    (tmp_path / "s" / "audit").mkdir()
    without_table(tmp_path / "s" / DATABASE)
    assert found_identity(tmp_path / "s") == instance
    gone(tmp_path / "s" / DATABASE)
    assert found_identity(tmp_path / "s") is None


async def test_an_empty_state_beside_what_servers_make_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    await made(tmp_path / "s")
    (tmp_path / "s" / FILE).unlink()
    (tmp_path / "s" / "local").mkdir()
    empty(tmp_path / "s" / DATABASE)
    with pytest.raises(DamagedStateError, match="gone or empty"):
        async with open_state(tmp_path / "s"):
            pass


async def test_a_damaged_identity_is_kept_and_written_again_by_a_state_that_is_whole(tmp_path: Path) -> None:
    instance = await made(tmp_path / "s")
    (tmp_path / "s" / FILE).write_bytes(b"\x00\xffnot json")
    async with open_state(tmp_path / "s") as state:
        assert state.instance == instance
    assert (tmp_path / "s" / f"{FILE}.damaged").read_bytes() == b"\x00\xffnot json"
    (tmp_path / "s" / DATABASE).write_bytes(b"x" * 5000)
    assert found_identity(tmp_path / "s") == instance


@pytest.mark.parametrize("is_in_log", [False, True])
async def test_a_newer_state_is_left_byte_for_byte(tmp_path: Path, is_in_log: bool) -> None:
    await made(tmp_path / "s")
    with closing(sqlite3.connect(tmp_path / "s" / DATABASE)) as database:
        if not is_in_log:
            database.execute("PRAGMA journal_mode = DELETE")
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        database.commit()
        shutil.copytree(tmp_path / "s", tmp_path / "newer")
    (tmp_path / "newer" / f"{DATABASE}-shm").unlink(missing_ok=True)
    before = content_of(tmp_path / "newer")
    assert (f"{DATABASE}-wal" in before) is is_in_log
    for may_stand_in in (False, True):
        with pytest.raises(StateError, match="newer") as caught:
            async with open_state(tmp_path / "newer", may_stand_in=may_stand_in):
                pass
        assert not isinstance(caught.value, DamagedStateError)
        with pytest.raises(StateError, match="newer"):
            damage_of(tmp_path / "newer")
        assert content_of(tmp_path / "newer") == before


async def test_damage_that_shows_while_a_server_runs_is_said_from_then_on(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        await fill(state)
        with closing(sqlite3.connect(tmp_path / "s" / DATABASE)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = (tmp_path / "s" / DATABASE).stat().st_size
        with (tmp_path / "s" / DATABASE).open("r+b") as handle:
            handle.seek(4096)
            handle.write(b"\xff" * (size - 4096))
            # Opened behind the back of the check, as a server does that ran before.
        with closing(sqlite3.connect(tmp_path / "s" / DATABASE)) as other:
            other.execute("PRAGMA user_version = 6")
            other.commit()
        with pytest.raises(DamagedStateError, match="ws-mcp repair"):
            await state.known_chats()
        assert "ws-mcp repair" in state.damage


async def test_a_state_that_is_removed_under_a_server_is_said_and_heals_when_it_is_back(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        await fill(state)
        (tmp_path / "s").rename(tmp_path / "elsewhere")
        with pytest.raises(StateError, match="removed or replaced"):
            await state.start_of_key("chat", key_of(0))
        with pytest.raises(StateError, match="cannot be opened"):
            async with state.lock("place"):
                pass
        (tmp_path / "elsewhere").rename(tmp_path / "s")
        assert await state.start_of_key("chat", key_of(0)) is not None


@pytest.mark.slow
async def test_any_damage_ends_in_an_answer_and_a_repair_makes_it_whole(memory_path: Path) -> None:
    instance = await cut_off(memory_path / "s", memory_path / "k")
    chance, said = random.Random(SEED), dict[str, int]()
    for number in range(CASES):
        case = memory_path / f"case-{number}"
        shutil.copytree(memory_path / ("s" if number % 2 else "k"), case)
        what = spoil(case, chance)
        answer = await answer_of(case, instance)
        said[answer] = said.get(answer, 0) + 1
        if answer == "damaged":
            repaired(case, instance)
            assert await answer_of(case, instance) == "whole", what
        shutil.rmtree(case)
    assert said["damaged"] > CASES / 10
    assert said["whole"] > CASES / 10
    assert said.get("newer", 0) < CASES / 10


async def answer_of(case: Path, instance: Instance) -> str:
    """What a server says to a state directory that it opens and uses; nothing else than these can come of it."""
    try:
        async with open_state(case) as state:
            assert state.instance == instance
            await fill(state, 3)
            await state.known_chats()
    except DamagedStateError as error:
        return "damaged" if "\n" not in str(error) else str(error)
    except StateError as error:
        return "newer" if "newer" in str(error) else str(error)
    return "whole"


def spoil(directory: Path, chance: random.Random) -> str:
    """Damage one of the files at random; what was done."""
    file = chance.choice(
        [file for file in directory.iterdir() if file.name.startswith(DATABASE) and file.stat().st_size]
    )
    size = file.stat().st_size
    if chance.random() < 0.3:
        length = chance.randrange(size)
        os.truncate(file, length)
        return f"{file.name} cut at {length}"
    flips = [(chance.randrange(size), 1 << chance.randrange(8)) for _ in range(chance.choice((1, 1, 3, 30)))]
    if chance.random() < 0.2:
        flips = [(chance.randrange(min(100, size)), 1 << chance.randrange(8))]  # its header
    content = bytearray(file.read_bytes())
    for offset, bit in flips:
        content[offset] ^= bit
    file.write_bytes(content)
    return f"{file.name} with flips {flips}"
