"""The list of dev containers, kept true by looking: at the engine, at the definitions, at what was recorded.

What could not be looked at stays as it was seen last, and its age is said. Nothing is looked at before somebody asks.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial

from ws_mcp.core.devcontainers.arrivals import Arrivals, open_arrivals
from ws_mcp.core.devcontainers.build_logs import BuildLogs
from ws_mcp.core.devcontainers.ground import Ground, lock_of
from ws_mcp.core.devcontainers.judge import Judge
from ws_mcp.core.devcontainers.lifecycle import Event
from ws_mcp.core.devcontainers.listing import CUT_SHORT, Doings, World, below, listed, silence_of
from ws_mcp.core.devcontainers.model import DevContainer, DevContainerListing, Key, Record, Status
from ws_mcp.core.devcontainers.polling import RETRY_S, poll_on
from ws_mcp.core.devcontainers.port import DefinitionMissingError
from ws_mcp.core.devcontainers.sightings import Ground as Labelled
from ws_mcp.core.devcontainers.sightings import Sighting, paths_of, sightings_of
from ws_mcp.core.devcontainers.view import View
from ws_mcp.core.engine.looks import Looks, open_looks
from ws_mcp.core.engine.model import Container
from ws_mcp.core.errors import EngineUnavailableError, NotFoundError, WsError

log = logging.getLogger(__name__)

GONE = Event.DEFINITION_GONE


class Kept:
    """The kept list; made by `open_kept`."""

    def __init__(self, ground: Ground, on_change: Callable[[], None], on_log: Callable[[], None]) -> None:
        self._ground = ground
        self._on_change = on_change
        self.logs = BuildLogs(ground.now, on_log)
        self.view = View(ground.engine)
        self._judge = Judge(ground.definitions)
        self._world = World()
        self._names: Mapping[Key, str] = {}
        self._acting: dict[Key, Status] = {}
        self._others: dict[Key, Status] = {}  # what other servers of this instance are at
        self._held: set[str] = set()  # folders that this server has the lock of
        self._ended: set[Key] = set()  # acts that are over and were not looked at since
        self.shown: tuple[DevContainer, ...] | None = None  # as seen last; None before the first look
        self._unknown = ""
        self._said = ""  # the trouble that was logged last
        self._missed: set[Key] = set()  # definitions that were found and are gone
        self._named: set[Key] = set()  # definitions that were named and not found
        self.looks: Looks
        self.arrivals: Arrivals

    async def list(self, *, is_fresh: bool) -> DevContainerListing:
        """All of them: at once, if nothing has happened since they were looked at. Verdicts are always of now."""
        await self.looks.settled(is_fresh=is_fresh)
        if not is_fresh:
            await self._judge_again()
        silent = self._ground.definitions.silent()
        return DevContainerListing(
            devcontainers=self.shown or (),
            unknown=self._unknown or silence_of(silent),
            age_s=self.view.age_s if self._unknown else max(silent.values(), default=0.0),
        )

    async def at(self, key: Key) -> DevContainer:
        """One of them as it is now.

        Raises:
            EngineUnavailableError: that is not known.
            NotFoundError
        """
        self._named.add(key)
        listing = await self.list(is_fresh=True)
        if self._unknown:
            raise EngineUnavailableError(f"how dev containers are is not known now: {self._unknown}")
        found = next((each for each in listing.devcontainers if each.key == key), None)
        if found is not None:
            return found
        names = tuple(each.name for each in listing.devcontainers)
        raise NotFoundError("dev container", key.folder, names, "Look at the list again.", is_shared=True)

    def containers_of(self, key: Key) -> tuple[Container, ...]:
        """Its container and its duplicates, as seen last."""
        sighting = self.sighting_of(key)
        return (sighting.container, *sighting.duplicates) if sighting is not None else ()

    def sighting_of(self, key: Key) -> Sighting | None:
        """It as it was seen last."""
        return next((each for each in self._world.sightings if each.key == key), None)

    def keys(self) -> tuple[Key, ...]:
        """Of those that have a container, as seen last."""
        return tuple(sighting.key for sighting in self._world.sightings)

    def look_soon(self) -> None:
        """Look after this call; for who changed something, and need not wait."""
        self.looks.soon()

    @contextmanager
    def holding(self, key: Key) -> Generator[None]:
        """Know that the lock of its folder is this server's own."""
        self._held.add(key.folder)
        try:
            yield
        finally:
            self._held.discard(key.folder)

    @contextmanager
    def acting(self, key: Key, status: Status) -> Generator[None]:
        """Show everybody that something is done to it."""
        self._acting[key] = status
        self._ended.discard(key)
        self.show()
        try:
            yield
        finally:
            # It is shown until what it came to was seen.
            self._ended.add(key)
            self.looks.soon()

    async def look(self, marked: frozenset[str], is_all_old: bool) -> None:
        """One reconcile."""
        ended = frozenset(self._ended)
        try:
            await self.view.look(marked, is_all_old=is_all_old)
            self._unknown = self.view.unknown
            if self.view.is_ever_seen:
                await self._refresh()
        except WsError as error:
            self._unknown = str(error)
        except Exception:
            # A bug in one reconcile must not end the server; the next one may go better.
            log.exception("dev containers could not be looked at")
            self._unknown = "dev containers could not be looked at; the log of the server says why"
        if self._unknown and self._unknown != self._said:
            log.warning("dev containers are not known now: %s", self._unknown)
        self._said = self._unknown
        for key in ended & self._ended:
            self._ended.discard(key)
            del self._acting[key]
        self.show()

    def show(self) -> None:
        """Make the list anew, and say so if it is another one."""
        acting = self._others | self._acting
        doings = Doings(acting=acting, addresses=self.arrivals.addresses, errors=self.arrivals.errors)
        before, self.shown = self.shown, listed(self._world, doings, self._names)
        if before is not None and before != self.shown:
            self._on_change()

    async def _refresh(self) -> None:
        ground, containers = self._ground, self.view.containers
        discovered = await self._discovered()
        labelled = Labelled(
            roots=ground.roots, known=frozenset(discovered), links=await ground.links(paths_of(containers))
        )
        sightings = sightings_of(containers, labelled, ground.labels)
        records, errors = dict(await ground.records.all()), await ground.records.errors()
        if not self.view.unknown:
            gone = records.keys() - {container.id for container in containers}
            await ground.records.forget(gone) if gone else None
        judged = await self._judge.all(sightings, records, trusts_stamp=False)
        self._world = World(sightings=sightings, discovered=discovered, records=records, errors=errors, judged=judged)
        self._names = await ground.records.names(self._world.keys)
        self._others = await self._at_others()
        await self._adopt()
        self._look_again_if_unreadable()
        # What would be asked of a disk that is silent would not come back.
        busy = self._others.keys() | (self._acting.keys() - self._ended) | below(ground.definitions.silent(), sightings)
        await self.arrivals.want(sightings, self._world.records, busy)

    async def _discovered(self) -> tuple[Key, ...]:
        """What there is to make; a search is a while old, so those missed since or named are asked for."""
        found = set(await self._ground.definitions.discover())
        missed = {s.key for s in self._world.sightings if self._world.judged[s.container.id].trouble is GONE}
        self._missed, self._named = (self._missed | missed) & found, self._named - found
        gone: set[Key] = set()
        for key in self._missed | self._named:
            try:
                await self._ground.definitions.read(key)
            except DefinitionMissingError:
                gone.add(key)
            except WsError:
                pass  # it is there, and cannot be read just now
        self._missed, self._named = self._missed & gone, self._named - gone
        return tuple(sorted((found | self._named) - self._missed))

    async def _adopt(self) -> None:
        """Record what others made and is as its definition says, so that an edit is seen from now on."""
        records = dict(self._world.records)
        for sighting in self._world.sightings:
            container = sighting.container
            adopts = self._world.judged[container.id].adopts
            is_acted_on = sighting.key in self._acting.keys() - self._ended
            # What another server is making, or was when it died, is no container of others.
            is_ours = self._world.errors.get(sighting.key) == CUT_SHORT
            if adopts is not None and not is_acted_on and not is_ours:
                records[container.id] = Record(
                    container=container.id,
                    key=sighting.key,
                    parts=adopts.parts,
                    is_adopted=True,
                    image_id=container.image_id,
                    made_at=container.created_at,
                )
                await self._ground.records.keep(records[container.id])
        self._world = replace(self._world, records=records)

    async def _judge_again(self) -> None:
        judged = await self._judge.all(self._world.sightings, dict(self._world.records), trusts_stamp=True)
        if judged.keys() == {sighting.container.id for sighting in self._world.sightings}:
            self._world = replace(self._world, judged=judged)
            self._look_again_if_unreadable()
            self.show()

    async def _at_others(self) -> dict[Key, Status]:
        """Dev containers whose swap is marked and whose folder is held: the server that is at it lives."""
        held: dict[Key, Status] = {}
        errors = self._world.errors.items()
        for key in [key for key, error in errors if error == CUT_SHORT and key.folder not in self._held]:
            async with self._ground.locks.lock_if_free(lock_of(key)) as is_free:
                if not is_free:
                    held[key] = Status.STARTING
        return held

    def _look_again_if_unreadable(self) -> None:
        if self._others or any(each.trouble is Event.DEFINITION_UNREADABLE for each in self._world.judged.values()):
            self.looks.again_in(RETRY_S)


@asynccontextmanager
async def open_kept(ground: Ground, on_change: Callable[[], None], on_log: Callable[[], None]) -> AsyncGenerator[Kept]:
    """Own the tasks that keep the list, once something asks for it."""
    kept = Kept(ground, on_change, on_log)
    polls = partial(poll_on, ground, kept.keys, kept.look_soon)
    async with (
        open_arrivals(ground, kept.show) as kept.arrivals,
        open_looks(ground.engine, kept.look, kept.view.concerns, "dev containers", polls) as kept.looks,
    ):
        yield kept
