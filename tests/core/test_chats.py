"""The chats of an instance: found again, seen by their own principal only, forgotten when nothing is left of them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ws_mcp.core.chats import ChatNotFoundError, Chats
from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.ids import PrincipalId, Scope
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.state import StartRecord, State, open_state

pytestmark = pytest.mark.usefixtures("real_io")

ME, OTHER = PrincipalId("local:1"), PrincipalId("local:2")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
START = StartRecord(digest="d", process="p_1", place="w", boot="b")


@dataclass(kw_only=True)
class World:
    """A day on the calendar, and which chats have workspaces."""

    state: State
    now: datetime = BEGAN
    owners: set[str] = field(default_factory=set[str])
    has_engine: bool = True
    looks: int = 0

    def chats(self) -> Chats:
        """The chats in one more server."""

        async def owners() -> set[str]:
            self.looks += 1
            if not self.has_engine:
                raise EngineUnavailableError("no engine answers")
            return self.owners

        return Chats(self.state, lambda: self.now, _no_manager, owners)

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)

    def used_at(self) -> set[str]:
        database = sqlite3.connect(self.state.directory / "state.db")
        try:
            return {row[0] for row in database.execute("SELECT used_at FROM chats")}
        finally:
            database.close()


def _no_manager(_scope: Scope) -> ProcessManager:
    raise AssertionError("nothing is started here")


@asynccontextmanager
async def open_world(path: Path) -> AsyncGenerator[World]:
    async with open_state(path / "state") as state:
        yield World(state=state)


async def test_a_chat_is_found_by_its_own_principal_only(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        made = await world.chats().new(ME, "x")
        assert (await world.chats().find(ME, made.handle)).id == made.id
        with pytest.raises(ChatNotFoundError):
            await world.chats().find(OTHER, made.handle)
        assert [chat.id for chat in await world.chats().list(ME)] == [made.id]
        assert await world.chats().list(OTHER) == ()


async def test_a_chat_that_nobody_used_for_long_and_that_has_nothing_is_forgotten(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        chats = world.chats()
        old = await chats.new(ME, "old")
        world.pass_days(29)
        await chats.new(ME, "young")
        assert (await chats.find(ME, old.handle)).id == old.id
        world.pass_days(29)
        await chats.new(ME, "other")
        assert (await chats.find(ME, old.handle)).id == old.id  # it was used in between
        world.pass_days(31)
        await chats.new(ME, "new")
        assert [chat.label for chat in await chats.list(ME)] == ["new"]
        with pytest.raises(ChatNotFoundError):
            await chats.find(ME, old.handle)


async def test_a_chat_with_a_workspace_or_a_remembered_start_stays(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        chats = world.chats()
        housed, keyed = await chats.new(ME, "housed"), await chats.new(ME, "keyed")
        world.owners.add(housed.id)
        world.pass_days(31)
        await world.state.claim_start(keyed.id, "k", START, world.now)
        for _ in range(2):
            await chats.new(ME, "new")
        assert {chat.label for chat in await chats.list(ME)} == {"housed", "keyed", "new"}
        assert world.looks == 1  # who has something is not asked for again so soon


async def test_no_chat_is_forgotten_while_nobody_knows_what_it_has(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        chats = world.chats()
        old = await chats.new(ME, "old")
        world.pass_days(31)
        world.has_engine = False
        await chats.new(ME, "new")
        assert (await chats.find(ME, old.handle)).id == old.id


async def test_a_default_chat_that_was_forgotten_is_the_same_when_it_comes_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        chats = world.chats()
        first = await chats.default(ME, "project:/a")
        world.pass_days(31)
        await chats.new(ME, "new")
        assert [chat.label for chat in await chats.list(ME)] == ["new"]
        assert await chats.default(ME, "project:/a") == first


async def test_the_use_of_a_chat_is_noted_once_a_day(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        chats = world.chats()
        made = await chats.new(ME, "x")
        noted = world.used_at()
        world.pass_days(0.9)
        await chats.find(ME, made.handle)
        assert world.used_at() == noted
        world.pass_days(0.2)
        await chats.find(ME, made.handle)
        assert world.used_at() == {world.now.isoformat()}


async def test_looking_at_a_chat_makes_none_and_is_no_use_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        chats = world.chats()
        looked = chats.default_of(ME, "project:/a")
        assert await chats.list(ME) == ()
        assert await chats.default(ME, "project:/a") == looked
        made = await chats.new(ME, "x")
        noted = world.used_at()
        assert not (await chats.look(ME, made.handle)).is_due
        world.pass_days(2)
        assert (await chats.look(ME, made.handle)).is_due
        assert world.used_at() == noted
        await chats.find(ME, made.handle)
        assert not (await chats.look(ME, made.handle)).is_due
        for principal, handle in ((PrincipalId("another"), made.handle), (ME, "c_none")):
            with pytest.raises(ChatNotFoundError):
                await chats.look(principal, handle)
