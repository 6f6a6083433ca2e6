"""A state that is damaged: servers look, change nothing, and say what to do; a repair finds everything again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio
import pytest
from support.instances import Instance
from support.peers import Json, Peer, open_peer, text_of

from ws_mcp.core.database import DATABASE
from ws_mcp.core.errors import ConflictError, StateError
from ws_mcp.core.host import sandbox
from ws_mcp.core.servers import open_servers
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces.sweeper import SweepWish
from ws_mcp.doctor import doctor
from ws_mcp.repair import repair
from ws_mcp.settings import Settings
from ws_mcp.sweep import sweep

pytestmark = pytest.mark.usefixtures("real_io")

TICKER = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done'
LOCAL = ("--engine", "none", "--keep-local")
CHANGES: list[tuple[str, Json]] = [
    ("provision_workspace", {"name": "another"}),
    ("provision_workspace", {"name": "main"}),
    ("start_process", {"command": "true"}),
    ("workspace_files", {"action": "write", "path": "x", "content": "x"}),
    ("stop_workspace", {"name": "main"}),
    ("remove_workspace", {"name": "main", "keep_data": False}),
    ("remove_workspace", {"name": "*", "keep_data": False}),
]
bubblewrap = pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed")


def settle(state: Path) -> None:
    """All pages into the file itself: as long as the log beside it has them, damage to the file is none."""
    with closing(sqlite3.connect(state / DATABASE)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def truncate(state: Path) -> None:
    settle(state)
    os.truncate(state / DATABASE, 3000)


def lose(state: Path) -> None:
    for file in state.glob(f"{DATABASE}*"):
        file.unlink()


def flip(state: Path) -> None:
    settle(state)
    with (state / DATABASE).open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who runs commands on a state directory, in this process: each takes its time to start."""

    state: Path
    capsys: pytest.CaptureFixture[str]
    engine: str = ""

    async def repair(self, *, is_applied: bool) -> tuple[int, str]:
        """`ws-mcp repair`: its exit code, and what it said."""
        code = await repair(self.settings, is_applied=is_applied)
        return code, self.capsys.readouterr().out

    @property
    def settings(self) -> Settings:
        return Settings(state=self.state, engine=self.engine)


async def check_only_looks(peer: Peer, process: str) -> None:
    """What a server on a damaged state shows, and that it changes nothing."""
    listing = await peer.ok("list_containers")
    assert "ws-mcp repair" in str(listing["unknown"])
    assert [one["name"] for one in cast("list[Json]", listing["workspaces"])] == ["main"]
    said = text_of(await peer.call("list_processes"))
    assert "ws-mcp repair" in said
    assert "ws-mcp repair" in await peer.resource("ws://containers")
    assert (await peer.processes())[process]["state"] == "running"
    assert "line 1\n" in (await peer.read(process)).output
    assert "kept" in text_of(await peer.call("workspace_files", action="read", path="note"))
    for tool, given in (*CHANGES, ("signal_process", {"process_id": process, "signal": "KILL"})):
        result = await peer.call(tool, **given)
        assert result.is_error, tool
        assert "ws-mcp repair" in text_of(result)
        assert (result.meta or {})["dev.ws-mcp/code"] == "data_loss"
    assert (await peer.processes())[process]["state"] == "running"


async def check_repaired(person: Person) -> None:
    """What a person sees, who looks, asks, and does it."""
    with pytest.raises(StateError, match="ws-mcp repair"):
        await sweep(person.settings, SweepWish(is_dry_run=False))
    before = set(os.listdir(person.state))  # noqa: PTH208 - names, not paths
    code, said = await person.repair(is_applied=False)
    assert code == 1, said
    assert "workspaces that are there: 1" in said
    assert "ws-mcp repair --apply" in said
    assert set(os.listdir(person.state)) == before  # noqa: PTH208 - as above
    code, said = await person.repair(is_applied=True)
    assert code == 0, said
    code, said = await person.repair(is_applied=False)
    assert (code, "is whole" in said) == (0, True)


async def check_whole(peer: Peer, process: str) -> None:
    """That nothing was lost or doubled."""
    assert list(await peer.workspaces()) == ["main"]
    assert not (await peer.ok("list_containers")).get("unknown")
    assert (await peer.processes())[process]["state"] == "running"
    assert (await peer.ok("signal_process", process_id=process, signal="KILL"))["state"] == "ended"
    assert await peer.start("echo again")


async def work(peer: Peer, **workspace: object) -> str:
    """A workspace with a file and a process that goes on."""
    await peer.ok("provision_workspace", **workspace)
    await peer.call("workspace_files", action="write", path="note", content="kept")
    process = await peer.start(TICKER, wait_s=0, request_key="k")
    await peer.call("read_output", process_id=process, wait_for="pattern", pattern="line 1")
    return process


@bubblewrap
@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncate, lose, flip])
async def test_local_work_is_seen_and_found_again(
    damage: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = Person(state=tmp_path / "state", capsys=capsys, engine="none")
    with anyio.fail_after(100):
        async with open_peer(person.state, *LOCAL) as peer:
            process = await work(peer, kind="local")
            await peer.kill()
        damage(person.state)
        async with open_peer(person.state, *LOCAL) as peer:
            await check_only_looks(peer, process)
        await check_repaired(person)
        async with open_peer(person.state, *LOCAL) as peer:
            await check_whole(peer, process)
            await peer.ok("remove_workspace", name="*", keep_data=False)


async def test_doctor_names_the_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person(state=tmp_path / "state", capsys=capsys, engine="none")
    async with open_state(person.state):
        pass
    lose(person.state)
    with anyio.fail_after(60):
        assert await doctor(person.settings) == 1
    assert "ws-mcp repair shows what can be saved" in capsys.readouterr().out


async def test_a_repair_waits_until_no_server_has_the_state_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = Person(state=tmp_path / "state", capsys=capsys, engine="none")
    with anyio.fail_after(60):
        async with open_state(person.state) as state, open_servers(state):
            lose(person.state)
            with pytest.raises(ConflictError, match="servers that have this state open: 1"):
                await repair(person.settings, is_applied=True)
            assert not any(person.state.glob("*damaged*"))
        assert await repair(person.settings, is_applied=True) == 0


@pytest.mark.engine
@pytest.mark.slow
async def test_containers_are_seen_and_found_again(instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person(state=instance.state, capsys=capsys)
    with anyio.fail_after(150):
        async with instance.open_peer() as peer:
            process = await work(peer)
            handle = str((await peer.ok("provision_workspace", chat="new", name="other"))["chat"])
            await peer.kill()
        containers, volumes = instance.containers, instance.volumes
        lose(instance.state)
        async with instance.open_peer() as peer:
            await check_only_looks(peer, process)
        code, said = await person.repair(is_applied=False)
        assert (code, "workspaces that are there: 2" in said) == (1, True), said
        code, said = await person.repair(is_applied=True)
        assert (code, "chats with workspaces: 2" in said) == (0, True), said
        async with instance.open_peer() as peer:
            assert (instance.containers, instance.volumes) == (containers, volumes)
            await check_whole(peer, process)
            assert list(await peer.workspaces(chat=handle)) == ["other"]
            assert (await peer.ok("provision_workspace", chat=handle, name="other"))["change"] == "none"
            assert instance.containers == containers
