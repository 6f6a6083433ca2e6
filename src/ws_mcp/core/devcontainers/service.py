"""The dev containers of an instance, for who calls: which there are, and what can be done to them.

What changes one is a job of the server: it goes on when its caller goes, equal calls share it, and another one is
refused while it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio

from ws_mcp.core.devcontainers.acts import Acts
from ws_mcp.core.devcontainers.build_logs import BuildLog
from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.kept import Kept
from ws_mcp.core.devcontainers.key_jobs import KeyJobs
from ws_mcp.core.devcontainers.lifecycle import Act, check_allowed
from ws_mcp.core.devcontainers.model import (
    Acted,
    DevContainer,
    DevContainerListing,
    Key,
    RecreateAsk,
    Recreated,
    Status,
    Target,
    is_id_of,
)
from ws_mcp.core.devcontainers.port import CliMissingError, DefinitionMissingError, UnreadableDefinitionError
from ws_mcp.core.devcontainers.recreate import Recreates
from ws_mcp.core.engine.port import Report
from ws_mcp.core.errors import (
    EngineUnavailableError,
    ForbiddenError,
    InvalidArgumentError,
    NotFoundError,
    PlaceUnavailableError,
)
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.job import StillRunning
from ws_mcp.core.jobs import WAIT_S

READY_S = 10.0  # for the first look: an engine that hangs must not hold up other places


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A dev container that was found by a name; `only`: the name is that of a duplicate."""

    found: DevContainer
    only: ContainerId | None = None


class DevContainers:
    """See the module. Nothing is asked of anybody before the first call, and never without roots."""

    def __init__(self, ground: Ground, kept: Kept, jobs: KeyJobs) -> None:
        self._ground = ground
        self._kept = kept
        self._jobs = jobs
        self._recreates = Recreates(ground, kept)
        self._acts = Acts(ground, kept)
        self._is_ready = False
        self._within = ground.policing.allowances.within

    def within(self, roots: tuple[str, ...]) -> DevContainers:
        """The same for who may have, of the operator's roots, only what is below these: no mount leads elsewhere."""
        ground = replace(self._ground, policing=self._ground.policing.within(roots))
        return DevContainers(ground, self._kept, self._jobs)

    async def list(self, *, is_fresh: bool = False) -> DevContainerListing:
        """All of them; with `is_fresh` the engine is asked in any case."""
        if not self._ground.roots:
            return DevContainerListing(devcontainers=())
        return await self._kept.list(is_fresh=is_fresh)

    async def recreate(
        self, target: Target, ask: RecreateAsk, report: Report, wait_s: float = WAIT_S
    ) -> Recreated | StillRunning:
        """Make it be as its definition says; a call that waited long enough is told how far it is.

        Cancelled by the last who waits for it, it ends: before the swap nothing has changed.

        Raises:
            NotFoundError, InvalidArgumentError, ForbiddenError, ConflictError, LimitError, CliMissingError, EngineError
            DevContainerFailedError: with the last lines; says what became of the old container.
        """
        key = await self._key_of(target)
        if ask.is_dry_run:
            return await self._recreates.recreate(key, ask, report)

        async def work(told: Report) -> Recreated:
            return await self._recreates.recreate(key, ask, told)

        digest = f"recreate {ask.force} {ask.no_cache} {self._within}"
        return await self._jobs.run(key, digest, work, report, wait_s, is_cancellable=True, is_repeatable=not ask.force)

    async def stop(self, name: str, report: Report, wait_s: float = WAIT_S) -> Acted | StillRunning:
        """Stop it; a compose project as one. One that this server is making or starting is given up instead.

        Raises:
            NotFoundError, ConflictError, EngineError
        """
        named = await self._named(name)
        if given_up := await self._jobs.given_up(named.found.key):
            return given_up

        async def work(_told: Report) -> Acted:
            return await self._acts.stop(named.found, named.only)

        return await self._jobs.run(named.found.key, f"stop {named.only}", work, report, wait_s)

    async def restart(self, name: str, report: Report, wait_s: float = WAIT_S) -> Acted | StillRunning:
        """Stop it if it runs, and start it: by the CLI where that can be done, so that the hooks of a start run.

        One that this server is making is given up instead.

        Raises:
            NotFoundError, ForbiddenError, ConflictError, EngineError, DevContainerFailedError
        """
        named, digest = await self._named(name), f"restart {self._within}"
        if given_up := await self._jobs.given_up(named.found.key, but=digest):
            return given_up

        async def work(told: Report) -> Acted:
            ended = None
            if named.found.status is not Status.STOPPED:
                ended = (await self._acts.stop(named.found, named.only)).ended_processes
            return replace(await self._started(named.found, told), ended_processes=ended)

        return await self._jobs.run(named.found.key, digest, work, report, wait_s, is_cancellable=True)

    async def remove(self, name: str, report: Report, wait_s: float = WAIT_S) -> Acted | StillRunning:
        """Remove it; a compose project as one, without its volumes.

        Raises:
            NotFoundError, ConflictError, EngineError
        """
        named = await self._named(name)

        async def work(_told: Report) -> Acted:
            return await self._acts.remove(named.found, named.only)

        return await self._jobs.run(named.found.key, f"remove {named.only}", work, report, wait_s)

    async def log(self, name: str) -> BuildLog:
        """What was said while it was made or started last, by this server.

        Raises:
            NotFoundError: there is no such dev container, or no log.
        """
        found = (await self._named(name)).found
        log = self._kept.logs.of(found.key)
        if log is None:
            said = "recreate_devcontainer writes one; the list has the last error of any server"
            raise NotFoundError("build log of dev container", found.name, (), f"{said}.", is_shared=True)
        return log

    async def resolve(self, name: str) -> tuple[DevContainer, PlaceAddress]:
        """Where its processes run.

        Raises:
            NotFoundError
            ConflictError: it does not run, or something is done to it.
            PlaceUnavailableError: execd could not be brought into it; says why.
        """
        found = (await self._named(name)).found
        check_allowed(Act.RUN, found.status, found.name)
        if found.container is None:
            raise PlaceUnavailableError(f"dev container {name!r} has no container; call recreate_devcontainer")
        return found, await self._kept.arrivals.address(found.container, found.name)

    async def ready(self) -> None:
        """Wait until they were looked at once and execd was found in those that run: processes of before are there."""
        if self._is_ready or not self._ground.roots:
            return
        with anyio.move_on_after(READY_S):
            listing = await self._kept.list(is_fresh=False)
            await self._kept.arrivals.tried()
            self._is_ready = not listing.unknown

    def reached(self) -> tuple[tuple[DevContainer, PlaceAddress], ...]:
        """Those in which execd is, and how to reach it, as seen last; asks nobody."""
        addresses = self._kept.arrivals.addresses
        return tuple(
            (found, addresses[found.container])
            for found in self._kept.shown or ()
            if found.container is not None and found.container in addresses
        )

    def lost(self, place: PlaceId) -> None:
        """The execd of a place does not answer any more; of one that is no dev container nothing follows."""
        self._kept.arrivals.lost(place)

    async def _started(self, found: DevContainer, told: Report) -> Acted:
        try:
            done = await self._recreates.recreate(found.key, RecreateAsk(), told, only_starts=True)
        except (DefinitionMissingError, UnreadableDefinitionError, CliMissingError, ForbiddenError) as error:
            return await self._acts.start(found, f"it was started without the hooks of a start: {error}")
        return Acted(devcontainer=done.devcontainer, warnings=done.warnings)

    async def _key_of(self, target: Target) -> Key:
        self._check_on()
        if bool(target.name) == bool(target.folder):
            raise InvalidArgumentError("a dev container is named by its name, or by its folder: give one of the two")
        if target.config and not target.folder:
            raise InvalidArgumentError("`config` goes with `folder`: give the folder that it belongs to")
        if target.folder:
            return await self._ground.definitions.find(target.folder, target.config)
        return (await self._named(target.name)).found.key

    async def _named(self, name: str) -> _Named:
        self._check_on()
        listing = await self._kept.list(is_fresh=False)
        for found in listing.devcontainers:
            if name == found.name or is_id_of(name, found.container):
                return _Named(found=found)
        for found in listing.devcontainers:
            for container in self._kept.containers_of(found.key):
                if name == container.name or is_id_of(name, container.id):
                    return _Named(found=found, only=None if container.id == found.container else container.id)
        if listing.unknown:
            raise EngineUnavailableError(f"which dev containers there are is not known now: {listing.unknown}")
        names = tuple(found.name for found in listing.devcontainers)
        raise NotFoundError("dev container", name, names, "Name its folder to make one.", is_shared=True)

    def _check_on(self) -> None:
        if not self._ground.roots:
            raise ForbiddenError("dev containers are off: the operator named no folder for them; start with --root DIR")
