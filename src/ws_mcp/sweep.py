"""`ws-mcp sweep`: shows what of this instance belongs to nobody on the engine, and removes it when asked to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ws_mcp.console import Cell, Console, Style, age_text, console, home_path
from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import one_line
from ws_mcp.core.placement.opening import Placement, site_of
from ws_mcp.core.state import State, open_state
from ws_mcp.core.stores.damage import has_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.removal import Removal
from ws_mcp.core.workspaces.site import ONLY, Site
from ws_mcp.core.workspaces.sweep_plan import Leftover
from ws_mcp.core.workspaces.sweeper import Sweeper, SweepWish, Swept
from ws_mcp.doors import choices_of, open_core_of, open_doors, open_engine
from ws_mcp.settings import Settings

HEADERS = ("KIND", "WORKSPACE", "AGE", "WHY", "NAME")
_NO_ENGINE = "Without a container engine (--engine none) there is nothing to sweep."
_NO_STATE = "Nothing was ever made from this state directory ({state}); another one: ws-mcp sweep --state DIR."


async def sweep(settings: Settings, wish: SweepWish) -> int:
    """Print what belongs to nobody, or remove it; the exit code is 1 if part of it could not be removed.

    Raises:
        EngineError: not everything could be looked at, so nothing was removed.
    """
    shown = console()
    state_directory, database = choices_of(settings).state, settings.state_database
    if not database and not has_state(state_directory):
        shown.line(_NO_STATE.format(state=home_path(str(state_directory))))
        return 0
    if settings.placement == "swarm":
        return await sweep_nodes(settings, wish, shown)
    async with open_engine(settings) as engine, open_state(state_directory, database) as state:
        if engine is None:
            shown.line(_NO_ENGINE)
            return 0
        async with shown.progress("looking at the engine" if wish.is_dry_run else "sweeping"):
            swept, begun = await swept_on(engine, state, wish)
    return show_all(shown, swept, begun, wish)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesSwept:
    """What was swept on all nodes; `rooms`: how many of no workspace; `begun`: workspaces that were left half-made."""

    swept: Swept
    rooms: int
    begun: int
    lost: tuple[tuple[str, str], ...]  # the nodes that do not answer by their host names, and why


async def sweep_nodes(settings: Settings, wish: SweepWish, shown: Console) -> int:
    """The same on all nodes of a swarm that answer, and among the rooms of workspaces."""
    async with open_doors(settings) as doors, open_core_of(choices_of(settings), doors) as core:
        if core.placement is None:
            raise RuntimeError("a swarm was asked for")
        async with shown.progress("looking at the nodes" if wish.is_dry_run else "sweeping"):
            found = await swept_nodes(core.placement, core.state, wish)
    return show_nodes(shown, found, wish)


async def swept_nodes(placement: Placement, state: State, wish: SweepWish) -> NodesSwept:
    """What was swept on the nodes that answer, and through the managers.

    Raises:
        EngineError: not everything could be looked at.
    """
    await placement.watch.all()
    found = [
        await swept_on(keeper.engine, state, wish, site_of(keeper.node, placement.rooms))
        for keeper in placement.keepers.all()
        if keeper.node is not None and not keeper.why
    ]
    rooms = await placement.upkeep.sweep_older(wish.older_than_s, is_dry_run=wish.is_dry_run)
    released = frozenset(naming.place_of_room(room.spec.name) for room in rooms)
    swept = [*(one for one, _ in found), await placement.overlays.sweep(wish, released)]
    return NodesSwept(
        swept=Swept(
            due=tuple(each for one in swept for each in one.due),
            removed=tuple(each for one in swept for each in one.removed),
            kept=tuple(each for one in swept for each in one.kept),
            failure="; ".join(one.failure for one in swept if one.failure),
        ),
        rooms=len(rooms),
        begun=max((begun for _, begun in found), default=0),
        lost=tuple((keeper.hostname, keeper.why) for keeper in placement.keepers.all() if keeper.why),
    )


def show_nodes(shown: Console, found: NodesSwept, wish: SweepWish) -> int:
    """The outcome; the exit code is 1 if part of it could not be looked at or removed."""
    if found.rooms:
        shown.line(f"{found.rooms} rooms of no workspace {'would be' if wish.is_dry_run else 'were'} released.")
    for hostname, why in found.lost:
        shown.line(f"Node {hostname} does not answer and was left out: {why}", Style.YELLOW)
    return show_all(shown, found.swept, found.begun, wish) or int(bool(found.lost))


async def swept_on(engine: Engine, state: State, wish: SweepWish, site: Site = ONLY) -> tuple[Swept, int]:
    """What was swept on one engine, and how many workspaces servers left half-made when they died."""
    ledger = Ledger(state, utc_now)
    swept = await Sweeper(engine, state, ledger, utc_now, site).sweep(wish)
    if wish.is_dry_run:
        return swept, await _abandoned(state, ledger)
    return swept, await Removal(engine, state, ledger, site=site).repair_all()


def show_all(shown: Console, swept: Swept, begun: int, wish: SweepWish) -> int:
    """The outcome; the exit code is 1 if part of it could not be removed."""
    show_swept(shown, swept, utc_now(), is_dry_run=wish.is_dry_run)
    if begun:
        verb = "would be put right" if wish.is_dry_run else "were put right"
        shown.line(f"{begun} workspaces that servers left half-made when they died {verb}.")
    return 1 if swept.failure or swept.kept else 0


def show_swept(shown: Console, swept: Swept, now: datetime, *, is_dry_run: bool) -> None:
    """The outcome, as a table and a line that says what it is."""
    if not swept.due:
        shown.line("Nothing belongs to nobody: there is nothing to sweep.")
        return
    listed = swept.due if is_dry_run else swept.removed
    if listed:
        shown.table(HEADERS, [_row(each, now) for each in listed], shrink=3)
    for leftover, reason in swept.kept:
        what = f"{leftover.kind.value} {leftover.name} of {leftover.workspace}"
        shown.line(one_line(f"{what} was kept: {reason}"), Style.YELLOW)
    if swept.failure:
        shown.line(f"The engine stopped answering, so the rest was kept: {one_line(swept.failure)}", Style.YELLOW)
    if is_dry_run:
        shown.line(f"{len(listed)} would be removed; nothing was: ws-mcp sweep --apply removes them.", Style.BOLD)
    else:
        shown.line(f"{len(listed)} removed.", Style.BOLD)


def _row(leftover: Leftover, now: datetime) -> tuple[Cell, ...]:
    created_at = leftover.created_at
    return (
        Cell(text=leftover.kind.value),
        Cell(text=leftover.workspace, style=Style.YELLOW if leftover.is_data else Style.PLAIN),
        Cell(text=age_text((now - created_at).total_seconds()) if created_at is not None else "?"),
        Cell(text=leftover.why),
        Cell(text=leftover.name, style=Style.DIM),
    )


async def _abandoned(state: State, ledger: Ledger) -> int:
    """How many workspaces a server was at that is no more."""
    abandoned = 0
    for intent in await ledger.intents():
        async with state.lock_if_free(intent.place) as is_held:
            abandoned += is_held
    return abandoned
