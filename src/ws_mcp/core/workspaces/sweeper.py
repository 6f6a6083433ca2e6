"""Takes away what belongs to nobody: looked at whole, checked again under its place's lock, removed one by one.

An engine that does not answer everything removes nothing. The loop of a server waits until it has seen an object belong
to nobody for a while, and never removes data; a person who asks goes by age.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio

from ws_mcp.core.clock import Now
from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineNotFoundError
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, Scope
from ws_mcp.core.repeat import repeat
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import EngineObject, Ledger, ObjectKind
from ws_mcp.core.workspaces.objects import remove_object
from ws_mcp.core.workspaces.site import ONLY, Site
from ws_mcp.core.workspaces.sweep_plan import (
    UNKNOWN_CHAT,
    IsDue,
    Leftover,
    LeftoverKind,
    Seen,
    has_container,
    plan_sweep,
    without_a_trace,
)

log = logging.getLogger(__name__)

GRACE_S = 600.0
SWEEP_S = 300.0  # between two sweeps of a server
REPAIR_S = 60.0  # between two looks for what servers that died had begun
STOP_GRACE_S = 10.0
LOCK = "sweep"

Repair = Callable[[], Awaitable[int]]
"""Finishes or undoes what servers that died had begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepWish:
    """What a person wants swept. `prefix`: of workspace names; `older_than_s`: since it was made, if that is known."""

    is_dry_run: bool = True
    prefix: str = ""
    has_data: bool = False
    older_than_s: float = GRACE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """`due`: what is to be removed; `removed`: what was; `kept`: what was not, and why; `failure`: why it ended."""

    due: tuple[Leftover, ...]
    removed: tuple[Leftover, ...] = ()
    kept: tuple[tuple[Leftover, str], ...] = ()
    failure: str = ""


class Sweeper:
    """Sweeps one instance on one engine."""

    def __init__(self, engine: Engine, state: State, ledger: Ledger, now: Now, site: Site = ONLY) -> None:
        self._engine = engine
        self._site = site
        self._state = state
        self._ledger = ledger
        self._now = now
        # Since when this server sees them as nobody's, and places as gone.
        self._since: dict[Leftover, float] = {}
        self._gone: dict[PlaceId, float] = {}
        self._there = frozenset[PlaceId]()  # seen by this server on this engine: what is nowhere may be on another one

    async def sweep(self, wish: SweepWish) -> Swept:
        """Sweep as a person wants it; a dry run says exactly what would be removed.

        Raises:
            EngineError: not everything could be looked at.
        """
        now = self._now()

        def is_due(leftover: Leftover) -> bool:
            if leftover.is_data and (not wish.has_data or leftover.created_at is None):
                return False
            age_s = (now - leftover.created_at).total_seconds() if leftover.created_at else float("inf")
            return leftover.workspace.startswith(wish.prefix) and age_s >= wish.older_than_s

        due = plan_sweep(await self._look(), is_due)
        return Swept(due=due) if wish.is_dry_run else await self._remove_all(due, is_due)

    async def sweep_unasked(self) -> Swept:
        """Remove what this server has seen belong to nobody for `GRACE_S`, but no data.

        Raises:
            EngineError: not everything could be looked at.
        """
        async with self._state.lock_if_free(self._site.lock_of(LOCK)) as is_held:
            if not is_held:
                return Swept(due=())  # another server is at it
            now = anyio.current_time()
            seen = await self._look()
            found = plan_sweep(seen, lambda each: not each.is_data)
            self._since = {each: self._since.get(each, now) for each in found}

            def is_due(leftover: Leftover) -> bool:
                return not leftover.is_data and now - self._since.get(leftover, now) >= GRACE_S

            swept = await self._remove_all(plan_sweep(seen, is_due), is_due)
            await self._forget_gone(seen, now)
            return swept

    async def _forget_gone(self, seen: Seen, now: float) -> None:
        """The secrets and settings of workspaces of which nothing is there any more."""
        places = await self._ledger.places()
        gone = without_a_trace(places, seen)
        self._there = (self._there | (places - gone - seen.intents)) & places
        gone &= self._there
        self._gone = {place: self._gone.get(place, now) for place in gone}
        for place in [place for place, since in self._gone.items() if now - since >= GRACE_S]:
            async with self._state.lock_if_free(place) as is_held:
                if is_held and await self._site.is_mine(place) and without_a_trace(gone, await self._look()) >= {place}:
                    await self._ledger.forget(place)

    async def _look(self) -> Seen:
        """Everything, or an error."""
        # Before and after: what is begun, or ends, while the engine is asked.
        intents = await self._ledger.intents()
        containers = [await self._whole(each) for each in await self._engine.list_containers({})]
        labels = {naming.INSTANCE: self._state.instance.id}
        volumes = await self._engine.list_volumes(labels)
        networks = await self._engine.list_networks(labels)
        if self._site.node:  # who is in a network that spans nodes cannot be told from one of them
            networks = tuple(network for network in networks if not naming.is_shared_name(network.name))
        intents += await self._ledger.intents()
        chats = await self._state.known_chats()
        return Seen(
            instance=self._state.instance.id,
            key=self._state.instance.key,
            containers=tuple(container for container in containers if container is not None),
            volumes=volumes,
            networks=networks,
            intents=frozenset(intent.place for intent in intents),
            chats=frozenset(Scope(principal=PrincipalId(principal), chat=ChatId(chat)) for chat, principal in chats),
        )

    async def _whole(self, listed: Container) -> Container | None:
        """With what only an inspection shows, where that decides: whether it ever ran."""
        is_ours = listed.labels.get(naming.INSTANCE) == self._state.instance.id
        if listed.state is not ContainerState.CREATED or not is_ours:
            return listed
        try:
            found = await self._engine.inspect(listed.id)
        except EngineNotFoundError:
            return None
        return replace(listed, name=found.name, state=found.state, started_at=found.started_at)

    async def _remove_all(self, due: tuple[Leftover, ...], is_due: IsDue) -> Swept:
        removed: list[Leftover] = []
        kept: list[tuple[Leftover, str]] = []
        failure = ""
        for place in dict.fromkeys(each.place for each in due):
            of_place = tuple(each for each in due if each.place == place)
            async with self._state.lock_if_free(place) as is_held:
                if not is_held:
                    kept += ((each, "a server works on its workspace") for each in of_place)
                    continue
                try:
                    await self._remove_place(place, of_place, is_due, removed, kept)
                except EngineError as error:
                    failure = str(error)
                    break
        return Swept(due=due, removed=tuple(removed), kept=tuple(kept), failure=failure)

    async def _remove_place(
        self,
        place: PlaceId,
        leftovers: tuple[Leftover, ...],
        is_due: IsDue,
        removed: list[Leftover],
        kept: list[tuple[Leftover, str]],
    ) -> None:
        """Everything is looked at again, since only now nobody else is at it; and once more without its containers."""
        containers = [each for each in leftovers if each.kind is LeftoverKind.CONTAINER]
        others = [each for each in leftovers if each.kind is not LeftoverKind.CONTAINER]
        if containers:
            still = plan_sweep(await self._look(), is_due)
            await self._remove_still(containers, still, removed, kept)
        seen = await self._look()
        # A container that is still there stays: what it could use must not go.
        still = plan_sweep(seen, lambda each: each.kind is not LeftoverKind.CONTAINER and is_due(each))
        await self._remove_still(others, still, removed, kept)
        if containers and not has_container(place, seen.containers):
            await self._ledger.forget(place)

    async def _remove_still(
        self,
        leftovers: list[Leftover],
        still: tuple[Leftover, ...],
        removed: list[Leftover],
        kept: list[tuple[Leftover, str]],
    ) -> None:
        for leftover in leftovers:
            if leftover not in still:
                kept.append((leftover, "it belongs to somebody by now"))
                continue
            try:
                await self._remove(leftover)
            except EngineConflictError as error:
                kept.append((leftover, str(error)))
                continue
            log.info("removed %s %s of %r: %s", leftover.kind, leftover.name, leftover.workspace, leftover.why)
            removed.append(leftover)

    async def _remove(self, leftover: Leftover) -> None:
        if leftover.container is not None:
            if leftover.why == UNKNOWN_CHAT:  # it may run
                await self._engine.stop(leftover.container, STOP_GRACE_S)
            await self._engine.remove(leftover.container)
            return
        kind = ObjectKind.NETWORK if leftover.kind is LeftoverKind.NETWORK else ObjectKind.VOLUME
        await remove_object(self._engine, self._state.instance.key, EngineObject(kind=kind, name=leftover.name))


@asynccontextmanager
async def open_sweeping(sweeper: Sweeper, repair: Repair, is_wanted: Callable[[], bool]) -> AsyncGenerator[None]:
    """Repair and sweep as long as the block lasts; sweep only while `is_wanted`: it asks the engine."""

    async def sweep() -> None:
        if is_wanted():
            await sweeper.sweep_unasked()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(repeat, "the repair of what servers left", REPAIR_S, repair)
        tasks.start_soon(repeat, "the sweep", SWEEP_S, sweep)
        yield
        tasks.cancel_scope.cancel()
