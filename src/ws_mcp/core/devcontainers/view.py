"""The containers of dev containers as the engine last showed them.

What could not be looked at is as it was seen last: an engine that does not answer has removed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from ws_mcp.core.devcontainers.sightings import FOLDER, PROJECT
from ws_mcp.core.engine.model import Container, EngineEvent
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.seeing import due, inspected, listed_as_found
from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import ContainerId

REFRESH_S = 300.0  # until what no listing shows is looked at again


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One container: as it was listed, as it was inspected, and when that was."""

    listed: Container
    found: Container
    inspected_at: float


def relevant(listed: Iterable[Container]) -> tuple[Container, ...]:
    """Whatever says it is a dev container, and what else belongs to the compose projects of those."""
    everything = tuple(listed)
    made = [container for container in everything if FOLDER in container.labels]
    projects = {container.labels[PROJECT] for container in made if container.labels.get(PROJECT)}
    return tuple(c for c in everything if FOLDER in c.labels or c.labels.get(PROJECT) in projects)


class View:
    """What is known of the containers. `unknown`: why it is not how they are now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[ContainerId, Seen] = {}
        self._marked: set[str] = set()
        self._seen_at: float | None = None  # when the last look that showed all began
        self.unknown = "containers were not looked at yet"

    @property
    def containers(self) -> tuple[Container, ...]:
        """As they were seen last, inspected."""
        return tuple(each.found for each in self._seen.values())

    @property
    def is_ever_seen(self) -> bool:
        """Whether a look ever showed them all."""
        return self._seen_at is not None

    @property
    def age_s(self) -> float:
        """How long ago they were as they are shown; 0 while that is how they are."""
        return anyio.current_time() - self._seen_at if self.unknown and self._seen_at is not None else 0.0

    def concerns(self, event: EngineEvent) -> bool:
        """Whether an event is about one of them."""
        return event.id in self._seen or FOLDER in event.labels or PROJECT in event.labels

    async def look(self, marked: frozenset[str], *, is_all_old: bool) -> None:
        """List, and inspect what is new, changed or marked."""
        self._marked |= self._seen.keys() if is_all_old else marked
        began = anyio.current_time()
        try:
            listed = relevant(await self._engine.list_containers({}))
        except EngineError as error:
            self._marked &= self._seen.keys()  # the others are new, and looked at in any case
            self.unknown = str(error)
            return
        marked_now = frozenset(self._marked)
        looked, self.unknown = await inspected(self._engine, due(self._seen, listed, marked_now, began - REFRESH_S))
        self._marked = {each.id for each in listed if each.id in marked_now and each.id not in looked}
        seen: dict[ContainerId, Seen] = {}
        for each in listed:
            if each.id not in looked:
                seen |= {each.id: self._seen[each.id]} if each.id in self._seen else {}
            elif (found := looked[each.id]) is not None:
                seen[each.id] = Seen(listed=listed_as_found(each, found), found=found, inspected_at=began)
        self._seen = seen
        if not self.unknown:
            self._seen_at = began
