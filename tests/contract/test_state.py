"""The state door: SQLite in a directory and PostgreSQL on a server do the same for several servers of one instance."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from support.postgres import Postgres, postgres_missing

from ws_mcp.core.bus import GATHER_S, open_bus
from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.database import SCHEMA
from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.servers import open_servers
from ws_mcp.core.state import StartRecord, State, open_state
from ws_mcp.core.stores import postgres_thread
from ws_mcp.core.stores.port import Sql
from ws_mcp.core.stores.postgres import PostgresStore
from ws_mcp.core.workspaces.disk_holds import DiskHolds
from ws_mcp.core.workspaces.disk_plan import DiskHold
from ws_mcp.core.workspaces.ledger import Intent, IntentKind, Ledger

pytestmark = pytest.mark.usefixtures("real_io_both")

FIRST = StartRecord(digest="d1", process="p_1", place="w1", boot="b1")
SECOND = StartRecord(digest="d2", process="p_2", place="w1", boot="b1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
W = PlaceId("wsmcp-w")
DEADLINE_S = 60
COUNT = (
    "INSERT INTO idle_stops VALUES (?, ?) ON CONFLICT (place) DO UPDATE SET idle_stop_s = idle_stops.idle_stop_s + 1"
)
_CONTEXT = multiprocessing.get_context("spawn")


class Ground(Protocol):
    """One instance, wherever its state is."""

    def open(self, server: str = "a") -> AbstractAsyncContextManager[State]:
        """As one of its servers does."""
        ...

    @property
    def address(self) -> str:
        """Of the database; "" for a file."""
        ...

    def change(self, statement: str) -> None:
        """Do something to the tables behind the servers' backs."""
        ...

    def make_older(self) -> None:
        """As a version left it that did not know what is confirmed."""
        ...

    def say_newer(self) -> None:
        """As a version leaves it that is newer than this one."""
        ...


@dataclass(frozen=True, kw_only=True)
class FileGround:
    """A state directory, the same for all servers."""

    directory: Path
    address: str = ""

    def open(self, server: str = "a") -> AbstractAsyncContextManager[State]:
        return open_state(self.directory)

    def change(self, statement: str) -> None:
        with closing(sqlite3.connect(self.directory / "state.db")) as database:
            database.execute(statement)
            database.commit()

    def make_older(self) -> None:
        self.change("ALTER TABLE starts DROP COLUMN is_confirmed")
        self.change("PRAGMA user_version = 1")

    def say_newer(self) -> None:
        self.change("PRAGMA user_version = 99")


@dataclass(frozen=True, kw_only=True)
class ServerGround:
    """A database, and a directory for each server: they are on machines of their own."""

    postgres: Postgres
    database: str
    directory: Path

    @property
    def address(self) -> str:
        return self.postgres.url(self.database)

    def open(self, server: str = "a") -> AbstractAsyncContextManager[State]:
        return open_state(self.directory / server, self.address)

    def change(self, statement: str) -> None:
        self.postgres.admin(f"SET search_path = ws_mcp; {statement}", self.database)

    def make_older(self) -> None:
        self.change("ALTER TABLE starts DROP COLUMN is_confirmed")
        self.change("UPDATE meta SET value = '1' WHERE name = 'schema'")

    def say_newer(self) -> None:
        self.change("UPDATE meta SET value = '99' WHERE name = 'schema'")


@pytest.fixture(params=["sqlite"] if postgres_missing() and os.environ.get("CI") != "true" else ["sqlite", "postgres"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    if request.param == "sqlite":
        return FileGround(directory=tmp_path / "s")
    postgres: Postgres = request.getfixturevalue("postgres")
    return ServerGround(postgres=postgres, database=postgres.new_database(), directory=tmp_path)


@pytest.fixture
def server_ground(postgres: Postgres, tmp_path: Path) -> ServerGround:
    return ServerGround(postgres=postgres, database=postgres.new_database(), directory=tmp_path)


@asynccontextmanager
async def two(ground: Ground) -> AsyncGenerator[tuple[State, State]]:
    with anyio.fail_after(DEADLINE_S):
        async with ground.open("a") as a, ground.open("b") as b:
            yield a, b


# --- who it is, and what is in it -------------------------------------------------------------------------------------


async def test_the_instance_and_its_key_are_the_same_for_every_server_and_after_a_restart(ground: Ground) -> None:
    async with two(ground) as (a, b):
        first = a.instance
        assert b.instance == first
    async with ground.open() as state:
        assert state.instance == first
    assert len(first.key) == 32
    assert repr(first.key) not in repr(first.id)


async def test_of_many_claims_of_one_key_by_two_servers_one_wins(ground: Ground) -> None:
    async with two(ground) as servers:
        answers: list[StartRecord] = []

        async def claim(index: int) -> None:
            record = StartRecord(digest="d", process=f"p_{index}", place="w", boot="b")
            answers.append(await servers[index % 2].claim_start("chat", "key", record, NOW))

        async with anyio.create_task_group() as tasks:
            for index in range(20):
                tasks.start_soon(claim, index)
        assert len(answers) == 20
        assert len(set(answers)) == 1


async def test_what_one_server_writes_the_other_reads(ground: Ground) -> None:
    async with two(ground) as (a, b):
        await a.claim_start("c", "k", FIRST, NOW)
        await b.confirm_start("c", "k", FIRST.process)
        assert await a.start_of_process("c", FIRST.process) == replace(FIRST, is_confirmed=True)
        await a.release_start("c", "k", FIRST.process)
        assert await b.claim_start("c", "k", SECOND, NOW) == SECOND
        await a.mark_filled("engine", "v", "monday")
        await a.mark_filled("engine", "v", "tuesday")
        assert await b.is_filled("engine", "v", "tuesday")
        assert await b.has_fills()


async def test_the_tables_of_workspaces_and_chats_keep_what_they_are_given(ground: Ground) -> None:
    async with two(ground) as (a, b):
        one, other = Ledger(a, lambda: NOW), Ledger(b, lambda: NOW)
        await one.begin(Intent(place=W, kind=IntentKind.PROVISION, objects=()))
        await one.begin(Intent(place=W, kind=IntentKind.REMOVE, objects=()))
        await one.keep_secrets(W, {"token": b"\0\xff text"})
        await one.set_idle_stop(W, 5)
        await one.set_idle_stop(W, 7)
        assert [intent.kind for intent in await other.intents()] == [IntentKind.REMOVE]
        assert await other.secrets(W) == {"token": b"\0\xff text"}
        assert await other.idle_stops() == {W: 7}
        await one.forget(W)
        assert await other.secrets(W) == {}

        hold = DiskHold(container=ContainerId("c"), size_bytes=1 << 40, quota_mib=1, until=NOW, is_final=True)
        await DiskHolds(a, lambda: NOW).keep(W, hold)
        assert await DiskHolds(b, lambda: NOW).all() == {W: hold}

        record = ChatRecord(chat="c", principal="p", label='50% of "ä"', created_at=NOW.isoformat())
        assert await KnownChats(a, lambda: NOW).remember(record)
        assert not await KnownChats(b, lambda: NOW).remember(record)
        (found,) = await KnownChats(b, lambda: NOW).list("p")
        assert found.label == record.label
        assert await b.known_chats() == {("c", "p")}


async def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(ground: Ground) -> None:
    async with ground.open() as state:

        def half(db: Sql) -> None:
            db.execute("INSERT INTO idle_stops VALUES (?, ?)", ("w", 1))
            raise StateError("in the middle")

        with pytest.raises(StateError, match="in the middle"):
            await state.run(half)
        with pytest.raises(StateError, match="doctor"):
            await state.run(lambda db: db.execute("SELECT * FROM nothing"))
        assert await state.run(lambda db: db.execute("SELECT * FROM idle_stops").fetchall()) == []


async def test_who_has_begun_is_alone_until_the_end(ground: Ground) -> None:
    async with two(ground) as servers:

        def count(db: Sql) -> None:
            db.begin()
            row = db.execute("SELECT idle_stop_s FROM idle_stops WHERE place = ?", ("w",)).fetchone()
            db.execute("DELETE FROM idle_stops")
            db.execute("INSERT INTO idle_stops VALUES (?, ?)", ("w", (row[0] if row else 0) + 1))

        async with anyio.create_task_group() as tasks:
            for index in range(40):
                tasks.start_soon(servers[index % 2].run, count)
        rows = await servers[0].run(lambda db: db.execute("SELECT idle_stop_s FROM idle_stops").fetchall())
        assert rows == [(40,)]


async def test_a_state_of_an_older_version_keeps_its_rows(ground: Ground) -> None:
    async with ground.open() as state:
        await state.claim_start("c", "k", FIRST, NOW)
    await anyio.to_thread.run_sync(ground.make_older)
    async with ground.open() as state:
        assert await state.start_of_key("c", "k") == FIRST
        await state.confirm_start("c", "k", FIRST.process)
        assert await state.start_of_key("c", "k") == replace(FIRST, is_confirmed=True)


async def test_a_newer_state_is_refused(ground: Ground) -> None:
    async with ground.open():
        pass
    await anyio.to_thread.run_sync(ground.say_newer)
    with pytest.raises(StateError, match="newer"):
        async with ground.open():
            pass


@pytest.mark.parametrize(
    "damage", ["DELETE FROM meta WHERE name = 'instance'", "UPDATE meta SET value = '' WHERE name = 'key'"]
)
async def test_a_state_that_does_not_say_whose_it_is_any_more_is_an_error(ground: Ground, damage: str) -> None:
    async with ground.open():
        pass
    await anyio.to_thread.run_sync(ground.change, damage)
    with pytest.raises(StateError, match="ws-mcp doctor"):
        async with ground.open():
            pass


# --- locks ------------------------------------------------------------------------------------------------------------


async def test_a_lock_is_held_against_another_server_until_it_is_left(ground: Ground) -> None:
    order: list[str] = []
    async with two(ground) as (a, b):
        inside = anyio.Event()

        async def holder() -> None:
            async with a.lock("w") as lock:
                inside.set()
                await anyio.wait_all_tasks_blocked()
                async with b.lock_if_free("w") as is_held:
                    assert not is_held
                assert await lock.still_held()
                order.append("holder leaves")

        async def waiter() -> None:
            await inside.wait()
            async with b.lock("w"):
                order.append("waiter enters")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(holder)
            tasks.start_soon(waiter)
        async with a.lock_if_free("w") as is_held:
            assert is_held
    assert order == ["holder leaves", "waiter enters"]


async def test_within_one_server_a_lock_has_one_holder_too(ground: Ground) -> None:
    inside, most = 0, 0
    async with ground.open() as state:

        async def hold() -> None:
            nonlocal inside, most
            async with state.lock("w"):
                inside += 1
                most = max(most, inside)
                await anyio.lowlevel.checkpoint()
                inside -= 1

        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(hold)
        async with state.lock("w"), state.lock_if_free("w") as is_held:
            assert not is_held
    assert most == 1


async def test_who_stops_waiting_leaves_the_lock_to_the_next(ground: Ground) -> None:
    async with two(ground) as (a, b):
        async with a.lock("w"):
            with anyio.move_on_after(0.3) as patience:
                async with b.lock("w"):
                    pass
            assert patience.cancelled_caught
        async with b.lock_if_free("w") as is_held:
            assert is_held


async def test_a_server_that_is_killed_lets_go_of_its_locks_and_is_there_no_more(
    ground: Ground, tmp_path: Path
) -> None:
    holds = _CONTEXT.Event()
    directory = tmp_path / ("s" if not ground.address else "killed")
    child = _CONTEXT.Process(target=_hold, args=(directory, ground.address, holds))
    async with ground.open() as state:
        child.start()
        try:
            assert await anyio.to_thread.run_sync(holds.wait, DEADLINE_S)
            assert await state.is_present("child")
            async with state.lock_if_free("w") as is_held:
                assert not is_held
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            with anyio.fail_after(DEADLINE_S):
                async with state.lock("w"):
                    while await state.is_present("child"):  # noqa: ASYNC110 - no event tells that a process is gone
                        await anyio.sleep(0.01)
        finally:
            child.kill()
            await anyio.to_thread.run_sync(child.join)


def _hold(directory: Path, address: str, holds: Event) -> None:
    async def forever() -> None:
        async with open_state(directory, address) as state, state.presence("child"), state.lock("w"):
            holds.set()
            await anyio.sleep_forever()

    anyio.run(forever)


async def test_a_server_that_lives_is_there_for_the_others_until_it_ends(ground: Ground) -> None:
    async with two(ground) as (a, b):
        async with open_servers(a) as one, open_servers(b) as other:
            assert await one.lives(other.own)
            assert await other.lives(one.own)
            assert not await one.lives("server-of-before")
            gone = one.own
        async with open_servers(b) as other:
            assert not await other.lives(gone)


# --- news -------------------------------------------------------------------------------------------------------------


async def test_what_one_server_sees_changed_the_others_hear_and_it_does_not_hear_itself(ground: Ground) -> None:
    async with two(ground) as (a, b), AsyncExitStack() as stack:
        heard: dict[str, list[Change]] = {"a": [], "b": []}
        came = anyio.Event()
        changes = {name: Changes() for name in heard}
        for name, state in (("a", a), ("b", b)):
            await stack.enter_async_context(open_bus(state, changes[name]))
            changes[name].listen(heard[name].append)
        changes["b"].listen(lambda change: came.set() if change.chat == "last" else None)
        for chat in ("one", "one", "last"):
            changes["a"].emit(Change(subject=Subject.PROCESSES, chat=ChatId(chat)))
        await came.wait()
        assert [(each.subject, each.chat, each.is_foreign) for each in heard["b"]] == [
            (Subject.PROCESSES, "one", True),
            (Subject.PROCESSES, "last", True),
        ]
        assert [each.is_foreign for each in heard["a"]] == [False] * 3


async def test_more_than_can_be_said_is_said_as_everything(ground: Ground) -> None:
    async with two(ground) as (a, b), AsyncExitStack() as stack:
        came = anyio.Event()
        tells, hears = Changes(), Changes()
        await stack.enter_async_context(open_bus(a, tells))
        await stack.enter_async_context(open_bus(b, hears))
        hears.listen(lambda change: came.set() if change.subject is Subject.EVERYTHING else None)
        for number in range(1000):
            tells.emit(Change(subject=Subject.PROCESSES, chat=ChatId(str(number))))
        await came.wait()


# --- only a database on a server can be lost --------------------------------------------------------------------------


async def test_a_lost_connection_ends_what_is_done_under_its_locks_and_clean_up_too(
    server_ground: ServerGround,
) -> None:
    cleaned: list[str] = []
    async with server_ground.open() as state:
        with anyio.fail_after(DEADLINE_S), pytest.raises(StateError, match="was lost"):  # noqa: PT012 - a block is what is lost
            async with state.lock("w") as lock:
                try:
                    await anyio.to_thread.run_sync(server_ground.postgres.cut, server_ground.database)
                    await anyio.sleep_forever()
                finally:
                    with lock.shield(DEADLINE_S) as shield:
                        cleaned.append("begun")
                        await anyio.sleep_forever()
                    assert shield.cancelled_caught
                    assert not await lock.still_held()
        assert cleaned == ["begun"]
        with anyio.fail_after(DEADLINE_S):
            async with state.lock("w") as lock:
                assert await lock.still_held()


async def test_a_shield_is_none_against_a_lock_that_is_lost_in_the_middle_of_clean_up(
    server_ground: ServerGround,
) -> None:
    async with server_ground.open() as state:
        with anyio.fail_after(DEADLINE_S), pytest.raises(StateError, match="was lost"):  # noqa: PT012 - a block is what is lost
            async with state.lock("w") as lock:
                with lock.shield(DEADLINE_S):
                    await anyio.to_thread.run_sync(server_ground.postgres.cut, server_ground.database)
                    await anyio.sleep_forever()


async def test_after_a_lost_connection_another_server_may_have_the_lock_and_who_lost_it_waits(
    server_ground: ServerGround,
) -> None:
    async with two(server_ground) as (a, b):
        with pytest.raises(StateError, match="was lost"):  # noqa: PT012 - a block is what is lost
            async with a.lock("w"):
                await anyio.to_thread.run_sync(server_ground.postgres.cut, server_ground.database)
                await anyio.sleep_forever()
        async with b.lock("w"), a.lock_if_free("w") as is_held:
            assert not is_held


async def test_a_server_is_there_again_after_a_lost_connection(server_ground: ServerGround) -> None:
    async with two(server_ground) as (a, b), open_servers(a) as servers:
        await anyio.to_thread.run_sync(server_ground.postgres.cut, server_ground.database)
        while not await b.is_present(servers.own):  # noqa: ASYNC110 - the other server has no event for it
            await anyio.sleep(0.01)


async def test_a_server_that_cannot_tell_the_others_goes_on(tmp_path: Path) -> None:
    async with open_state(tmp_path / "state") as state:
        changes = Changes()
        async with open_bus(state, changes):
            shutil.rmtree(tmp_path / "state" / "bus")
            for _ in range(2):
                changes.emit(Change(subject=Subject.CONTAINERS, chat=ChatId("c")))
                await anyio.sleep(2 * GATHER_S)
            assert await state.known_chats() == frozenset()


async def test_after_a_lost_connection_everything_is_looked_at_again(server_ground: ServerGround) -> None:
    async with server_ground.open() as state:
        changes, again = Changes(), anyio.Event()
        changes.listen(lambda change: again.set() if change.subject is Subject.EVERYTHING else None)
        with anyio.fail_after(DEADLINE_S):
            async with open_bus(state, changes):
                await anyio.to_thread.run_sync(server_ground.postgres.cut, server_ground.database)
                await again.wait()


async def test_transactions_go_on_over_a_restart_of_the_database(server_ground: ServerGround) -> None:
    async with server_ground.open() as state:
        await state.claim_start("c", "before", FIRST, NOW)
        await anyio.to_thread.run_sync(server_ground.postgres.stop)
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(state.claim_start, "c", "meanwhile", SECOND, NOW)
                await anyio.to_thread.run_sync(server_ground.postgres.start)
        assert await state.start_of_key("c", "before") == FIRST
        assert await state.start_of_key("c", "meanwhile") == SECOND


async def test_a_database_that_says_nothing_is_given_up_and_used_again_when_it_speaks(
    server_ground: ServerGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server_ground.open() as state:
        await state.claim_start("c", "before", FIRST, NOW)
        monkeypatch.setattr(postgres_thread, "SILENT_S", 0.5)
        with server_ground.postgres.silent(server_ground.database), anyio.fail_after(DEADLINE_S):
            with pytest.raises(StateError, match="is not known"):
                await state.claim_start("c", "meanwhile", SECOND, NOW)
            async with state.lock("w") as lock:  # by a connection that is made anew
                assert await lock.still_held()
        monkeypatch.undo()
        with anyio.fail_after(DEADLINE_S):
            assert await state.start_of_key("c", "before") == FIRST
            assert await state.claim_start("c", "meanwhile", SECOND, NOW) == SECOND


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_commit_whose_answer_was_lost_is_looked_up_and_done_once(
    server_ground: ServerGround, is_kept: bool
) -> None:
    """The connection ends in the middle of the commit; the work counts what is kept, so twice would be seen."""
    async with server_ground.open() as state:
        store, runs = state._store, 0
        assert isinstance(store, PostgresStore)
        connection = store.book._connection
        assert connection is not None

        def count(db: Sql) -> None:
            nonlocal runs
            runs += 1
            db.execute(COUNT, ("w", 1))
            if runs == 1:
                if is_kept:
                    connection.execute(b"COMMIT")
                connection.pgconn.finish()

        await state.run(count)
        rows = await state.run(lambda db: db.execute("SELECT idle_stop_s FROM idle_stops").fetchall())
        assert rows == [(1,)]
        assert runs == (1 if is_kept else 2)


async def test_a_password_and_an_address_are_in_no_error(server_ground: ServerGround, tmp_path: Path) -> None:
    right = server_ground.address
    wrong = {
        right.replace("a-password", "another-password"): "let this server in",
        right.replace(server_ground.database, "missing"): "no database of that name",
        right.replace(f":{server_ground.postgres.port}/", ":1/"): "does not answer",
        right.replace("127.0.0.1", "no-such-host.invalid"): "no machine of that name",
        right + "?nonsense=1": "postgresql://USER@HOST/DATABASE",
    }
    for number, (address, said) in enumerate(wrong.items()):
        with pytest.raises(StateError, match=said) as caught:
            async with open_state(tmp_path / str(number), address):
                pass
        for secret in ("password-that", "127.0.0.1", "wsmcp:", "invalid"):
            assert secret not in f"{caught.value} {caught.value.__cause__}"


async def test_a_directory_belongs_to_one_database_and_a_state_of_its_own_is_not_hidden(
    server_ground: ServerGround, tmp_path: Path
) -> None:
    async with server_ground.open("a"):
        pass
    other = replace(server_ground, database=server_ground.postgres.new_database())
    with pytest.raises(StateError, match="another state database"):
        async with other.open("a"):
            pass
    with pytest.raises(StateError, match="--state-database"):
        async with open_state(tmp_path / "a"):
            pass
    async with open_state(tmp_path / "file"):
        pass
    with pytest.raises(StateError, match="a state of its own"):
        async with open_state(tmp_path / "file", server_ground.address):
            pass


async def test_the_schema_of_a_database_is_the_one_of_a_file(server_ground: ServerGround) -> None:
    async with server_ground.open():
        pass
    rows = await anyio.to_thread.run_sync(
        server_ground.postgres.admin, "SELECT value FROM ws_mcp.meta WHERE name = 'schema'", server_ground.database
    )
    assert rows == [(str(SCHEMA).encode(),)]
