"""`ws-mcp repair`: shows what is left of a damaged state and what the engine has, and makes the state whole again.

The damaged file is kept under another name. Workspaces and their processes are not touched: they are in the engine and
in their execds, and only found again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp.console import Cell, Console, Style, console, home_path
from ws_mcp.core.clock import utc_now
from ws_mcp.core.database import BUSY_S, DATABASE, KEY, LOCKS, OPENING, Instance
from ws_mcp.core.errors import ConflictError, DamagedStateError, InvalidArgumentError, unwritten
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.runtime import Core
from ws_mcp.core.stores.damage import has_state
from ws_mcp.core.stores.directory import make_directory
from ws_mcp.core.stores.files import FileLocks
from ws_mcp.core.stores.identity import found_identity
from ws_mcp.core.stores.rebuilding import damage_of, rebuild, servers_on
from ws_mcp.core.stores.salvage import Table, salvaged
from ws_mcp.doors import choices_of, open_core_of, open_doors
from ws_mcp.ps import Place, places_of, show_place
from ws_mcp.settings import Settings

HEADERS = ("WHAT IS KEPT", "ROWS", "READ")
_WHOLE = "The state in {state} is whole: there is nothing to repair."
_NO_STATE = "There is no state in {state}: there is nothing to repair."
_LOST = {
    "chats": "handles of chats that have no workspace now",
    "devcontainer_errors": "why dev containers could not be made",
    "devcontainer_keys": "names of dev containers that are not there now",
    "devcontainers": "what dev containers were made from: they count as out of date until they are made anew",
    "disk_holds": "which workspaces are over their disk quota: it is measured again",
    "fills": "which engines have execd: it is brought there again",
    "idle_stops": "after how long idle workspaces are to be stopped: provision_workspace sets it again",
    "intents": "what a killed server had begun: ws-mcp sweep shows what is left of it",
    "jobs": "how long work ended of which nobody was told yet",
    "provisions": "request keys of provision_workspace: the same call is done again",
    "secrets": "secrets of workspaces: give them to provision_workspace again",
    "starts": "request keys of start_process: the same call would start a second process",
    "tickets": "tasks of clients",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is left. `instance`: whose it is; None: nobody can tell. `places`: what the engine and this machine have."""

    damage: str
    instance: Instance | None
    tables: tuple[Table, ...]
    places: tuple[Place, ...]
    unknown: str


async def repair(settings: Settings, *, is_applied: bool) -> int:
    """Show what can be saved, or save it; the exit code is 1 where the state is damaged still.

    Raises:
        StateError: a newer ws-mcp wrote it, or it cannot be read or written.
        ConflictError: servers use it, or the engine does not answer; nothing was done.
    """
    if settings.state_database:
        raise InvalidArgumentError("a state in a database is repaired by the means of that database; this is for files")
    shown, state = console(), choices_of(settings).state
    if not state.is_dir() or not has_state(state):
        shown.line(_NO_STATE.format(state=home_path(str(state))))
        return 0
    await anyio.to_thread.run_sync(_prepare, state)
    async with FileLocks(state / LOCKS).lock(OPENING, BUSY_S):
        damage = await anyio.to_thread.run_sync(damage_of, state)
    if damage is None:
        shown.line(_WHOLE.format(state=home_path(str(state))))
        return 0
    async with shown.progress("looking at what is left"):
        remains = await _remains(settings, state, damage)
    show_remains(shown, remains)
    if not is_applied:
        shown.line("Nothing was changed: ws-mcp repair --apply does it.", Style.BOLD)
        return 1
    async with FileLocks(state / LOCKS).lock(OPENING, BUSY_S):
        aside = await anyio.to_thread.run_sync(_apply, state, remains)
    adopted = await _adopt(settings)
    show_repaired(shown, aside, adopted)
    return 0


def _prepare(state: Path) -> None:
    make_directory(state, has_state=True)


async def _remains(settings: Settings, state: Path, damage: DamagedStateError) -> Remains:
    try:
        tables = await anyio.to_thread.run_sync(salvaged, state)
    except OSError as error:
        raise unwritten(error, f"there is no room to look at a copy of the state ({error.strerror})") from error
    async with open_doors(settings) as doors:
        choices = choices_of(settings, may_stand_in=True)
        async with open_core_of(choices, doors) as core:
            places, unknown = await places_of(core)
    instance = await anyio.to_thread.run_sync(found_identity, state)
    return Remains(damage=str(damage), instance=instance, tables=tables, places=tuple(places), unknown=unknown)


def _apply(state: Path, remains: Remains) -> str:
    if remains.unknown:
        raise ConflictError(f"nothing was done, since containers are not known now: {remains.unknown}")
    if count := servers_on(state):
        raise ConflictError(f"nothing was done: servers that have this state open: {count}. End them, then try again")
    if damage_of(state) is None:
        raise ConflictError("nothing was done: it is whole by now")
    instance = remains.instance or Instance(id=secrets.token_hex(8), key=secrets.token_bytes(KEY))
    has_log = (state / f"{DATABASE}-wal").exists()
    return rebuild(state, instance, [_without_old(table, has_log=has_log) for table in remains.tables], utc_now())


def _without_old(table: Table, *, has_log: bool) -> Table:
    """What was begun may be over where the newest entries are missing: a removal is never finished on such a word."""
    if table.name != "intents" or not table.columns:
        return table
    kind = table.columns.index("kind")
    return replace(table, rows=tuple(row for row in table.rows if has_log and row[kind] == "provision"))


async def _adopt(settings: Settings) -> int:
    """Remember the chats that have a workspace; how many."""
    async with open_doors(settings) as doors, open_core_of(choices_of(settings), doors) as core:
        return await adopted_by(core)


async def adopted_by(core: Core) -> int:
    """Remember whose the workspaces are that are there, so that their handles are known; returns how many chats."""
    known, now = KnownChats(core.state, utc_now), utc_now().isoformat()
    scopes = {scope for scope, _ in await core.all_workspaces()}
    for scope in scopes:
        await known.remember(ChatRecord(chat=scope.chat, principal=scope.principal, label="", created_at=now))
    return len(scopes)


def show_remains(shown: Console, remains: Remains) -> None:
    """What is left, and what is lost."""
    shown.line(remains.damage.partition(": ")[0], Style.RED)
    shown.table(HEADERS, [_row(table) for table in remains.tables], shrink=0)
    for table in remains.tables:
        if not table.is_whole:
            shown.line(f"perhaps lost: {_LOST[table.name]}", Style.YELLOW)
    if remains.instance is None:
        text = "Whose it is is lost: the workspaces of before cannot be told from those of others and stay as they are."
        shown.line(text, Style.RED)
    shown.line(f"workspaces that are there: {len(remains.places)}")
    for place in remains.places:
        show_place(shown, place, utc_now(), show_ended=False)
    if remains.unknown:
        shown.line(f"containers are unknown now, not gone: {remains.unknown}", Style.YELLOW)


def show_repaired(shown: Console, aside: str, adopted: int) -> None:
    """What was done."""
    shown.line(f"The state is whole again; chats with workspaces: {adopted}. The damaged file is {aside}.", Style.GREEN)
    shown.line("Servers that ran meanwhile have to be started again.", Style.BOLD)


def _row(table: Table) -> Sequence[Cell]:
    said = Cell(text="whole", style=Style.GREEN) if table.is_whole else Cell(text="in part", style=Style.YELLOW)
    return (Cell(text=table.name), Cell(text=str(len(table.rows))), said)
