"""The containers of this instance as the engine last showed them, kept true by looking.

An event only says "look now"; events may be lost, doubled or late. While none can be heard every question looks. What
could not be looked at is as it was seen last, and its age is said: an engine that does not answer has removed nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.database import Instance
from ws_mcp.core.engine.looks import Looks, open_looks
from ws_mcp.core.engine.model import Container, EngineEvent
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.seeing import due, inspected
from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import ContainerId, Scope
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.known import Known, Looked, by_scope, changed_chats, merged
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.site import ONLY, Site

ENDING_S = 30.0  # an engine without live-restore ends containers after it is back: 10 s for what does not heed TERM
REFRESH_S = 300.0  # until what no listing shows (limits that were changed by hand) is looked at again


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Workspaces as last seen. `unknown`: why that is not how they are now; then `age_s` says how long ago it was."""

    workspaces: Mapping[Scope, tuple[Workspace, ...]]
    age_s: float | None = 0.0  # None: they were never seen
    unknown: str = ""

    def of(self, scope: Scope) -> tuple[Workspace, ...]:
        """The chat's workspaces, oldest first."""
        return self.workspaces.get(scope, ())


class Watch:
    """The kept list; made by `open_watch`. Nothing asks the engine before somebody asks this."""

    def __init__(self, engine: Engine, instance: Instance, changes: Changes, site: Site = ONLY) -> None:
        self._engine = engine
        self._site = site
        self._instance = instance
        self._changes = changes
        self._known: dict[ContainerId, Known] = {}
        self._workspaces: Mapping[Scope, tuple[Workspace, ...]] | None = None
        self._seen_at: float | None = None  # when the last look that showed all began
        self._unknown = "containers were not looked at yet"
        self._marked: set[str] = set()  # containers that have to be inspected again
        self.looks: Looks

    def begin(self) -> None:
        """Look, and watch from now on; for who wants to hear of changes without asking first."""
        self.looks.begin()

    @property
    def is_begun(self) -> bool:
        """Whether anybody asked yet."""
        return self.looks.is_begun

    @property
    def sees_engine(self) -> bool:
        """Whether the last look went well and events can be heard: an engine that went away would have ended them."""
        return self.looks.is_listening and not self._unknown

    @property
    def is_current(self) -> bool:
        """Whether a question would be answered with what is known, without a look."""
        return self.sees_engine and self.looks.is_settled

    @property
    def last(self) -> Sight | None:
        """What was seen last, without a new look; None before anybody asked."""
        return self._sight() if self.is_begun else None

    async def list(self) -> Sight:
        """The workspaces of all chats: at once, if nothing has happened since they were looked at."""
        await self.looks.settled(is_fresh=bool(self._unknown) and self.looks.is_settled)
        return self._sight()

    def look_soon(self) -> None:
        """Look after this call, and let nobody see what was before it; for who changed something, and need not wait."""
        self.looks.soon()

    async def look_afresh(self, scope: Scope) -> None:  # noqa: ARG002 - the one engine has all
        """As `look_soon`: one look shows all chats."""
        self.looks.soon()

    def _sight(self) -> Sight:
        age_s = anyio.current_time() - self._seen_at if self._seen_at is not None else None
        return Sight(workspaces=self._workspaces or {}, age_s=age_s if self._unknown else 0.0, unknown=self._unknown)

    async def look(self, marked: frozenset[str], is_all_old: bool) -> None:
        """One look."""
        self._marked |= self._known.keys() if is_all_old else marked
        began = anyio.current_time()
        labels = {naming.INSTANCE: self._instance.id, naming.KIND: "container"}
        try:
            listed = [container for container in await self._engine.list_containers(labels) if self._is_ours(container)]
        except EngineError as error:
            self._marked &= self._known.keys()  # the others are new, and looked at in any case
            self._unknown = str(error)
            return
        marked_now = frozenset(self._marked)
        looked, failure = await self._inspected(due(self._known, listed, marked_now, began - REFRESH_S))
        self._marked = {each.id for each in listed if each.id in marked_now and each.id not in looked}
        self._known = merged(
            self._instance.key,
            self._known,
            listed,
            looked,
            began,
            site=self._site,
            is_engine_back=began - self.looks.back_at < ENDING_S,
        )
        self._unknown = failure
        if not failure:
            self._seen_at = began
        self._show(by_scope(self._known.values()))

    def concerns(self, event: EngineEvent) -> bool:
        """Whether an event is about one of them."""
        return event.labels.get(naming.INSTANCE) == self._instance.id or event.id in self._known

    def _is_ours(self, listed: Container) -> bool:
        known = self._known.get(listed.id)
        # One that is listed as it was need not be verified again: that would be most of the work.
        is_same = known is not None and known.listed == listed
        return is_same or naming.is_ours(self._instance.key, listed.name, listed.labels)

    async def _inspected(self, containers: tuple[Container, ...]) -> tuple[dict[ContainerId, Looked], str]:
        """Those that could be looked at, and why one could not."""
        found, failure = await inspected(self._engine, containers)
        listed = {container.id: container for container in containers}
        return {each: Looked(listed=listed[each], found=found[each]) for each in found}, failure

    def _show(self, workspaces: Mapping[Scope, tuple[Workspace, ...]]) -> None:
        before, self._workspaces = self._workspaces, workspaces
        for chat in changed_chats(before, workspaces) if before is not None else ():
            self._changes.emit(Change(subject=Subject.CONTAINERS, chat=chat))


@asynccontextmanager
async def open_watch(engine: Engine, instance: Instance, changes: Changes, site: Site = ONLY) -> AsyncGenerator[Watch]:
    """Own the tasks that look and listen, once something asks."""
    watch = Watch(engine, instance, changes, site)
    async with open_looks(engine, watch.look, watch.concerns, "workspaces") as watch.looks:
        yield watch
