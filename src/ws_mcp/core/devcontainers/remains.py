"""What a run of `up` leaves, however it ended, held against the operator's policy."""

from __future__ import annotations

from ws_mcp.core.devcontainers.allowances import refusal_of
from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.kept import Kept
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.sightings import PROJECT_FOLDER
from ws_mcp.core.engine.model import Container
from ws_mcp.core.errors import EngineNotFoundError, ForbiddenError
from ws_mcp.core.ids import ContainerId

STOP_GRACE_S = 2.0  # what has too many rights is not given long


class Remains:
    """The containers of one dev container, before a run and after it. `composed`: where its compose project is."""

    def __init__(self, ground: Ground, kept: Kept, key: Key, name: str, composed: str = "") -> None:
        self._ground = ground
        self._kept = kept
        self._key = key
        self._name = name
        self._composed = composed
        self._before: frozenset[ContainerId] = frozenset()

    async def note(self) -> None:
        """What is there now was there before the run."""
        self._before = await self._there()

    async def check(self, made: Container | None) -> None:
        """What is there now, `made` for one, can do, whatever the definition says.

        Raises:
            ForbiddenError: more than the operator allows; what the run made of it was removed.
        """
        found = [(each, await self._ground.policing.violations_of(self._key, each)) for each in await self._left(made)]
        violations = tuple(violation for _, each in found for violation in each)
        if not violations:
            return
        is_new = made is None or made.id not in self._before
        text = str(refusal_of(self._name, violations))
        doomed = [each for each, its_own in found if its_own or (is_new and each is made)]
        doomed = doomed if is_new else [each for each in doomed if each.id not in self._before]
        for each in doomed:
            try:
                await self._ground.engine.stop(each.id, STOP_GRACE_S)
                await self._ground.engine.remove(each.id)
            except EngineNotFoundError:
                continue  # it went by itself
        text = f"{text}; the container was stopped and removed" if doomed else text
        await self._ground.records.set_error(self._key, text)
        raise ForbiddenError(text)

    async def _left(self, made: Container | None) -> tuple[Container, ...]:
        """`made`, the rest of its project, and whatever else came."""
        sighting = self._kept.sighting_of(self._key)
        is_its = made is not None and sighting is not None and sighting.container.id == made.id
        members = {each.id for each in sighting.members} if sighting is not None and is_its else set[ContainerId]()
        others = members | (await self._there() - self._before)
        found = [made] if made is not None else []
        for each in sorted(others - {each.id for each in found}):
            try:
                found.append(await self._ground.engine.inspect(each))
            except EngineNotFoundError:
                continue
        return tuple(found)

    async def _there(self) -> frozenset[ContainerId]:
        ids = {each.id for each in self._kept.containers_of(self._key)}
        if self._composed:
            # Also those whose dev container does not exist, and which no listing shows then.
            ids |= {each.id for each in await self._ground.engine.list_containers({PROJECT_FOLDER: self._composed})}
        return frozenset(ids)
