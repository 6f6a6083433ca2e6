"""What the state keeps grows old while servers live, and hardly by what a wall clock says."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from core.test_job_notes import NOON, Clock

from ws_mcp.core.ages import GAP, NOTE_S, NOTED, Ages, open_ages
from ws_mcp.core.servers import open_servers
from ws_mcp.core.state import State, open_state

YEARS = timedelta(days=3652)
TICK = timedelta(seconds=60)  # more than a test takes


@asynccontextmanager
async def open_one(state: State, clock: Clock) -> AsyncGenerator[Ages]:
    """The ages of one server, noted."""
    with anyio.fail_after(5):
        async with open_servers(state) as servers, open_ages(state, servers, clock) as ages:
            while servers.own not in await _servers(state):
                pass
            yield ages


@pytest.mark.usefixtures("virtual_time")
async def test_time_that_passes_is_counted_and_a_jump_is_not() -> None:
    clock = Clock()
    ages = Ages(clock, clock(), clock())
    for jump in (YEARS, -YEARS):
        clock.now = NOON + jump
        before = ages()
        await anyio.sleep(3600)
        assert ages() - before == timedelta(hours=1)
    assert ages() == NOON + timedelta(hours=2)


@pytest.mark.usefixtures("real_io")
@pytest.mark.parametrize(
    ("passed", "counted"),
    [
        (timedelta(hours=5), timedelta(hours=5)),
        (YEARS, GAP),
        (-YEARS, timedelta()),
    ],
)
async def test_without_a_server_the_wall_clock_counts_but_a_day_at_most(
    tmp_path: Path, passed: timedelta, counted: timedelta
) -> None:
    clock = Clock()
    async with open_state(tmp_path / "s") as state:
        async with open_one(state, clock) as ages:
            assert NOON <= ages() < NOON + TICK
        clock.now = NOON + passed
        async with open_one(state, clock) as ages:
            assert NOON + counted <= ages() < NOON + counted + TICK
            # What was kept before is shown with the time that the clock then says it was.
            assert abs(ages.shown(ages()) - clock.now) < TICK


@pytest.mark.usefixtures("real_io")
async def test_while_a_server_lives_a_jump_counts_no_more_than_is_not_noted_yet(tmp_path: Path) -> None:
    clock = Clock()
    async with open_state(tmp_path / "s") as state, open_one(state, clock):
        # Another one noted last, and has ended.
        async with open_one(state, clock):
            pass
        clock.now = NOON + YEARS
        async with open_one(state, clock) as ages:
            assert ages() <= NOON + timedelta(seconds=NOTE_S) + TICK


@pytest.mark.usefixtures("real_io")
async def test_less_than_another_has_counted_is_never_noted(tmp_path: Path) -> None:
    clock = Clock()
    async with open_state(tmp_path / "s") as state:
        async with open_one(state, clock):
            pass
        clock.now = NOON - YEARS
        async with open_one(state, clock):
            pass
        assert json.loads(await _noted(state))[0] >= NOON.timestamp()


@pytest.mark.usefixtures("real_io")
@pytest.mark.parametrize("noted", [b"", b"\xff", b"[1]", b"[1e400, 1, []]", b'["a", "b", "c"]', b"[1, 1, 7]"])
async def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, noted: bytes) -> None:
    async with open_state(tmp_path / "s") as state:
        await state.run(lambda db: db.execute("INSERT INTO meta VALUES (?, ?)", (NOTED, noted)))
        async with open_one(state, Clock()) as ages:
            assert NOON <= ages() < NOON + TICK


async def _noted(state: State) -> bytes:
    row = await state.run(lambda db: db.execute("SELECT value FROM meta WHERE name = ?", (NOTED,)).fetchone())
    return row[0] if row is not None else b""


async def _servers(state: State) -> list[str]:
    noted = await _noted(state)
    return json.loads(noted)[2] if noted.endswith(b"]]") else []
