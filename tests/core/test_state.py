"""The state directory: one instance for several servers."""

from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.openers import open_at_once

from ws_mcp.core.database import OPENING
from ws_mcp.core.errors import StateError
from ws_mcp.core.state import StartRecord, open_state

pytestmark = pytest.mark.usefixtures("real_io")

FIRST = StartRecord(digest="d1", process="p_1", place="w1", boot="b1")
SECOND = StartRecord(digest="d2", process="p_2", place="w1", boot="b1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVERS = 3
ROUNDS = 20


async def test_the_instance_and_its_key_are_the_same_when_opened_again(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        first = state.instance
    async with open_state(tmp_path / "s") as state:
        assert state.instance == first
    assert len(first.key) == 32


async def test_servers_that_open_a_new_directory_at_once_are_one_instance(tmp_path: Path) -> None:
    openings = await anyio.to_thread.run_sync(open_at_once, tmp_path, SERVERS, ROUNDS)
    assert [len(answers) for answers in openings] == [SERVERS] * ROUNDS
    for answers in openings:
        assert len(set(answers)) == 1, answers
        assert "Error" not in answers[0]


async def test_a_server_that_died_before_it_made_the_database_bars_nobody(tmp_path: Path) -> None:
    (tmp_path / "s" / "locks").mkdir(parents=True)
    async with open_state(tmp_path / "s") as state:
        assert len(state.instance.key) == 32


async def test_a_server_that_hangs_while_it_opens_the_directory_is_named(tmp_path: Path, virtual_time: None) -> None:
    async with open_state(tmp_path / "s") as state, state.lock(OPENING):
        with pytest.raises(StateError, match="another ws-mcp"):
            async with open_state(tmp_path / "s"):
                pass


async def test_a_migration_that_was_cut_short_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    database = sqlite3.connect(tmp_path / "s" / "state.db")
    database.execute("CREATE TABLE starts_by_age (x)")  # no index can have this name any more: the migration fails
    database.commit()
    with pytest.raises(StateError):
        async with open_state(tmp_path / "s"):
            pass
    assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [("starts_by_age",)]
    database.close()


async def test_two_directories_are_two_instances(tmp_path: Path) -> None:
    async with open_state(tmp_path / "a") as a, open_state(tmp_path / "b") as b:
        assert a.instance.id != b.instance.id
        assert a.instance.key != b.instance.key


async def test_nobody_else_can_read_the_directory(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s"):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "s" / "state.db").stat().st_mode) == 0o600


async def test_of_many_claims_of_one_key_by_two_servers_one_wins(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as a, open_state(tmp_path / "s") as b:
        answers: list[StartRecord] = []

        async def claim(index: int) -> None:
            record = StartRecord(digest="d", process=f"p_{index}", place="w", boot="b")
            answers.append(await (a, b)[index % 2].claim_start("chat", "key", record, NOW))

        async with anyio.create_task_group() as tasks:
            for index in range(20):
                tasks.start_soon(claim, index)
        assert len(answers) == 20
        assert len(set(answers)) == 1


async def test_a_key_is_free_again_only_when_its_own_start_lets_go(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        assert await state.claim_start("c", "k", FIRST, NOW) == FIRST
        await state.release_start("c", "k", SECOND.process)
        assert await state.claim_start("c", "k", SECOND, NOW) == FIRST
        await state.release_start("c", "k", FIRST.process)
        assert await state.claim_start("c", "k", SECOND, NOW) == SECOND


async def test_a_keyed_start_is_found_by_key_and_by_process(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        await state.claim_start("c", "k", FIRST, NOW)
        assert await state.start_of_key("c", "k") == FIRST
        assert await state.start_of_process("c", FIRST.process) == FIRST
        assert await state.start_of_key("other", "k") is None
        assert await state.start_of_process("other", FIRST.process) is None


async def test_a_key_is_forgotten_after_a_week(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        await state.claim_start("c", "k", FIRST, NOW)
        await state.claim_start("c", "another", FIRST, NOW + timedelta(days=6))
        assert await state.start_of_key("c", "k") == FIRST
        await state.claim_start("c", "another", FIRST, NOW + timedelta(days=8))
        assert await state.start_of_key("c", "k") is None


async def test_keys_of_different_chats_do_not_meet(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        await state.claim_start("a", "k", FIRST, NOW)
        assert await state.claim_start("b", "k", SECOND, NOW) == SECOND


async def test_a_volume_that_was_made_again_counts_as_empty(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        await state.mark_filled("engine", "v", "monday")
        assert await state.is_filled("engine", "v", "monday")
        assert not await state.is_filled("engine", "v", "tuesday")
        assert not await state.is_filled("other", "v", "monday")


async def test_a_lock_is_held_against_another_server_until_it_is_left(tmp_path: Path) -> None:
    order: list[str] = []
    inside = anyio.Event()
    async with open_state(tmp_path / "s") as a, open_state(tmp_path / "s") as b:

        async def holder() -> None:
            async with a.lock("w"):
                inside.set()
                await anyio.wait_all_tasks_blocked()
                order.append("holder leaves")

        async def waiter() -> None:
            await inside.wait()
            async with b.lock("w"):
                order.append("waiter enters")

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(holder)
                tasks.start_soon(waiter)
    assert order == ["holder leaves", "waiter enters"]


async def test_a_directory_of_an_older_version_keeps_its_rows(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s") as state:
        await state.claim_start("c", "k", FIRST, NOW)
    database = sqlite3.connect(tmp_path / "s" / "state.db")
    database.execute("ALTER TABLE starts DROP COLUMN is_confirmed")
    database.execute("PRAGMA user_version = 1")
    database.close()
    async with open_state(tmp_path / "s") as state:
        assert await state.start_of_key("c", "k") == FIRST
        await state.confirm_start("c", "k", FIRST.process)
        assert await state.start_of_key("c", "k") == replace(FIRST, is_confirmed=True)


async def test_a_newer_state_is_refused_and_left_untouched(tmp_path: Path) -> None:
    async with open_state(tmp_path / "s"):
        pass
    database = sqlite3.connect(tmp_path / "s" / "state.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StateError, match="newer"):
        async with open_state(tmp_path / "s"):
            pass
    database = sqlite3.connect(tmp_path / "s" / "state.db")
    assert database.execute("PRAGMA user_version").fetchone() == (99,)
    database.close()


async def test_a_damaged_state_is_an_error_that_says_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "state.db").write_bytes(b"this is not a database, not at all" * 100)
    with pytest.raises(StateError, match="ws-mcp doctor"):
        async with open_state(tmp_path / "s"):
            pass


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM meta WHERE name = 'instance'",
        "UPDATE meta SET value = 'text' WHERE name = 'key'",
        "UPDATE meta SET value = x'ff' WHERE name = 'instance'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = CAST(x'ff' AS TEXT) WHERE name = 'starts'",
    ],
)
async def test_a_state_that_does_not_say_whose_it_is_any_more_is_an_error_too(tmp_path: Path, damage: str) -> None:
    async with open_state(tmp_path / "s"):
        pass
    database = sqlite3.connect(tmp_path / "s" / "state.db")
    database.executescript(damage)
    database.commit()
    database.close()
    with pytest.raises(StateError, match="ws-mcp doctor"):
        async with open_state(tmp_path / "s"):
            pass


async def test_a_directory_with_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home" / "letter").write_text("x")
    with pytest.raises(StateError, match="not ws-mcp's"):
        async with open_state(tmp_path / "home"):
            pass
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o755


async def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "real")
    with pytest.raises(StateError, match="real directory"):
        async with open_state(tmp_path / "s"):
            pass
