"""What is kept of dev containers: over restarts, for several servers, and no more than its bounds."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from support.devcontainer_values import ROOT, SHOP

from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.records import FRESH_S, KEEP_NAMES_S, MAX_ERROR, Records
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.state import open_state

pytestmark = pytest.mark.usefixtures("real_io")

OTHER = Key(folder="/a/shop", config="/a/shop/.devcontainer.json")
FULL = Record(
    container=ContainerId("a" * 64),
    key=SHOP,
    parts={"config/image": "1", "dockerfile/Dockerfile": "2"},
    is_complete=False,
    error="postCreateCommand failed",
    is_adopted=True,
    user="dev",
    path="/workspaces/shop",
    image_id="sha256:x",
    made_at=datetime(2026, 1, 1, 1, 2, 3, 456, tzinfo=UTC),
)
PLAIN = Record(container=ContainerId("b" * 64), key=OTHER, parts={})


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def go(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@asynccontextmanager
async def server(directory: Path, clock: Clock | None = None, engine: str = "e1") -> AsyncGenerator[Records]:
    """What one server has of it."""

    async def engine_of() -> str:
        return engine

    async with open_state(directory / "s") as state:
        yield Records(state, engine_of, clock or Clock(), max_records=3, max_keys=9)


async def test_a_record_is_the_same_after_a_restart(tmp_path: Path) -> None:
    async with server(tmp_path) as records:
        await records.keep(FULL)
        await records.keep(PLAIN)
    async with server(tmp_path) as records:
        assert await records.all() == {FULL.container: FULL, PLAIN.container: PLAIN}


async def test_a_record_is_replaced_by_a_newer_one_of_its_container(tmp_path: Path) -> None:
    async with server(tmp_path) as one, server(tmp_path) as two:
        await one.keep(FULL)
        await two.keep(replace(FULL, is_complete=True))
        assert await one.all() == {FULL.container: replace(FULL, is_complete=True)}


async def test_records_of_another_engine_are_neither_seen_nor_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock, "e1") as one, server(tmp_path, clock, "e2") as two:
        await one.keep(FULL)
        clock.go(FRESH_S)
        assert await two.all() == {}
        await two.forget([FULL.container])
        assert FULL.container in await one.all()


async def test_what_is_forgotten_is_gone_and_the_rest_is_kept(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock) as records:
        await records.keep(FULL)
        await records.keep(PLAIN)
        clock.go(FRESH_S)
        await records.forget([FULL.container, ContainerId("c" * 64)])
        assert set(await records.all()) == {PLAIN.container}


async def test_a_record_that_another_server_kept_just_now_is_not_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock) as one, server(tmp_path, clock) as two:
        await one.keep(FULL)
        clock.go(FRESH_S - 1)
        await two.forget([FULL.container])
        assert FULL.container in await two.all()
        clock.go(1)
        await two.forget([FULL.container])
        assert await one.all() == {}


async def test_records_are_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock) as records:
        for number in range(5):
            await records.keep(replace(PLAIN, container=ContainerId(f"{number:064x}")))
            clock.go(1)
        assert sorted(await records.all()) == [f"{number:064x}" for number in (2, 3, 4)]


async def test_a_record_that_cannot_be_read_is_as_if_there_were_none(tmp_path: Path) -> None:
    async with server(tmp_path) as records:
        await records.keep(FULL)
        await records.keep(PLAIN)
    database = sqlite3.connect(tmp_path / "s" / "state.db")
    with database:
        database.execute("UPDATE devcontainers SET body = '{' WHERE container = ?", (FULL.container,))
    database.close()
    async with server(tmp_path) as records:
        assert set(await records.all()) == {PLAIN.container}


async def test_the_error_of_the_last_attempt_is_kept_until_one_goes_well(tmp_path: Path) -> None:
    async with server(tmp_path) as records:
        await records.set_error(SHOP, "the build failed")
        await records.set_error(OTHER, "no such image")
        await records.set_error(SHOP, "the build failed again")
    async with server(tmp_path) as records:
        assert await records.errors() == {SHOP: "the build failed again", OTHER: "no such image"}
        await records.set_error(SHOP, "")
        assert await records.errors() == {OTHER: "no such image"}


async def test_an_error_is_about_one_engine(tmp_path: Path) -> None:
    async with server(tmp_path, engine="e1") as one, server(tmp_path, engine="e2") as two:
        await one.set_error(SHOP, "no such image")
        assert await two.errors() == {}
        await two.set_error(SHOP, "the build failed")
        await two.set_error(SHOP, "")
        assert await one.errors() == {SHOP: "no such image"}


async def test_an_error_is_cut_and_odd_characters_do_no_harm(tmp_path: Path) -> None:
    async with server(tmp_path) as records:
        await records.set_error(SHOP, "\udc80\0" + "x" * 100_000)
        assert len((await records.errors())[SHOP]) == MAX_ERROR


async def test_a_folder_whose_name_is_no_text_is_kept_like_any(tmp_path: Path) -> None:
    odd = Key(folder=f"{ROOT}/\udcff", config=f"{ROOT}/\udcff/.devcontainer.json")
    async with server(tmp_path) as records:
        await records.set_error(odd, "x")
        await records.keep(replace(PLAIN, key=odd))
        assert await records.errors() == {odd: "x"}
        assert (await records.all())[PLAIN.container].key == odd
        assert await records.names([odd]) == {odd: "ann"}


async def test_a_name_that_was_given_stays_over_restarts_and_for_every_server(tmp_path: Path) -> None:
    async with server(tmp_path) as one, server(tmp_path) as two:
        assert await one.names([SHOP]) == {SHOP: "shop"}
        assert await two.names([OTHER, SHOP]) == {SHOP: "shop", OTHER: "a-shop"}
    async with server(tmp_path) as again:
        assert await again.names([OTHER, SHOP]) == {SHOP: "shop", OTHER: "a-shop"}


async def test_a_name_survives_an_error_and_an_error_a_name(tmp_path: Path) -> None:
    async with server(tmp_path) as records:
        await records.names([SHOP])
        await records.set_error(SHOP, "x")
        await records.set_error(SHOP, "")
        await records.set_error(OTHER, "y")
        assert await records.names([OTHER, SHOP]) == {SHOP: "shop", OTHER: "a-shop"}
        assert await records.errors() == {OTHER: "y"}


async def test_the_name_of_a_project_that_is_away_for_a_while_is_not_given_to_others(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock) as records:
        await records.names([SHOP])
        clock.go(KEEP_NAMES_S - 1)
        assert await records.names([OTHER]) == {OTHER: "a-shop"}
        assert await records.names([SHOP]) == {SHOP: "shop"}


async def test_the_name_of_a_project_that_is_gone_for_good_is_free_again(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock) as records:
        await records.names([SHOP])
        clock.go(KEEP_NAMES_S)
        assert await records.names([OTHER]) == {OTHER: "shop"}
        assert (await records.names([OTHER, SHOP]))[OTHER] != (await records.names([OTHER, SHOP]))[SHOP]


async def test_a_name_in_use_does_not_grow_old(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock) as records:
        for _ in range(8):
            await records.names([SHOP])
            clock.go(KEEP_NAMES_S / 4)
        assert await records.names([OTHER]) == {OTHER: "a-shop"}


async def test_a_name_is_none_of_those_that_others_have(tmp_path: Path) -> None:
    async with server(tmp_path) as records:
        assert await records.names([SHOP], {"shop"}) == {SHOP: "ann-shop"}


async def test_servers_that_name_at_once_agree(tmp_path: Path) -> None:
    keys = [Key(folder=f"/{letter}/shop", config=f"/{letter}/shop/.devcontainer.json") for letter in "abcdef"]
    answers: list[dict[Key, str]] = []
    async with server(tmp_path) as one, server(tmp_path) as two:

        async def name(records: Records, some: list[Key]) -> None:
            answers.append(await records.names(some))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for records in (one, two):
                    for start in range(len(keys)):
                        tasks.start_soon(name, records, keys[start:] + keys[:start])
                        tasks.start_soon(name, records, keys[start:])
        last = await one.names(keys)
        assert len(set(last.values())) == len(keys)
        assert all(last[key] == name for answer in answers for key, name in answer.items())


async def test_keys_are_bounded(tmp_path: Path) -> None:
    clock = Clock()
    async with server(tmp_path, clock) as records:
        for letter in "abcdefghijk":
            await records.set_error(Key(folder=f"/{letter}", config=f"/{letter}/x"), letter)
            clock.go(1)
        assert sorted((await records.errors()).values()) == list("cdefghijk")


async def test_a_directory_of_an_older_version_gets_the_tables(tmp_path: Path) -> None:
    async with server(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / "s" / "state.db")
    with database:
        database.execute("DROP TABLE devcontainers")
        database.execute("DROP TABLE devcontainer_keys")
        database.execute("DROP TABLE devcontainer_errors")
        database.execute("PRAGMA user_version = 2")
    database.close()
    async with server(tmp_path) as records:
        await records.keep(FULL)
        await records.set_error(SHOP, "x")
        assert (await records.all(), await records.errors()) == ({FULL.container: FULL}, {SHOP: "x"})
