"""The workspaces of all nodes as one kept list. It is put together when something changed, not when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.engine.swarm_model import HERE, NodeId
from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.ids import Scope
from ws_mcp.core.placement.keepers import NOT_SEEN, Keeper, Keepers
from ws_mcp.core.placement.plan import NodeView, told_lost, united, why_lost
from ws_mcp.core.placement.survey import Survey
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.known import changed_chats
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.watch import Sight

NODE_WAIT_S = 2.0  # that a list waits for a node which has something to tell
DRAINED = "its node is told to take nothing new ({availability}): the workspace stays, new ones go elsewhere"

All = tuple[tuple[Scope, Workspace], ...]


class ClusterSights:
    """See `ws_mcp.core.workspaces.port.Sights`."""

    def __init__(self, survey: Survey, keepers: Keepers, changes: Changes) -> None:
        self._survey = survey
        self._keepers = keepers
        self._changes = changes
        self._made_of: tuple[object, ...] = ()
        self._workspaces: Mapping[Scope, tuple[Workspace, ...]] | None = None
        self._all: All = ()
        self._seen_at: float | None = None

    @property
    def is_begun(self) -> bool:
        return self._survey.is_begun

    @property
    def sees_engine(self) -> bool:
        return self._survey.is_current

    @property
    def last(self) -> Sight | None:
        return self._sight() if self.is_begun else None

    async def list(self) -> Sight:
        await self.settled()
        return self._sight()

    async def settled(self) -> None:
        """Wait until the managers and each node that answers were looked at."""
        await self._survey.settled()
        keepers = await self._keepers.opened()
        if all(keeper.why or keeper.keeping.watch.is_current for keeper in keepers):
            return
        async with anyio.create_task_group() as tasks:
            for keeper in keepers:
                if keeper.why:
                    keeper.keeping.watch.begin()  # nobody waits for it
                elif not keeper.keeping.watch.is_current:
                    tasks.start_soon(self._look, keeper)

    async def all(self) -> All:
        """Every workspace with its scope.

        Raises:
            EngineUnavailableError: the managers never told of any.
        """
        sight = await self.list()
        if sight.age_s is None:
            raise EngineUnavailableError(sight.unknown)
        return self._all

    def look_soon(self) -> None:
        """Who changes something on a node tells the list of that node."""

    async def look_afresh(self, scope: Scope) -> None:
        """The managers know on which nodes the chat has anything, so these are enough."""
        self._survey.looks.soon()
        await self._survey.settled()
        nodes = {room.node for room in self._survey.rooms.values() if naming.scope_of(room.spec.labels) == scope}
        for keeper in await self._keepers.opened():
            if keeper.id in nodes and keeper.keeping.watch.is_begun:
                keeper.keeping.watch.look_soon()

    def changed(self) -> None:
        """A node was lost or is back, or rooms changed: who watches is told."""
        if self.is_begun:
            self._unite()

    async def _look(self, keeper: Keeper) -> None:
        with anyio.move_on_after(NODE_WAIT_S) as patience:
            await keeper.keeping.watch.list()
        if patience.cancelled_caught:
            self._keepers.silent(keeper, f"it did not answer within {NODE_WAIT_S:g} s")

    def _sight(self) -> Sight:
        self._unite()
        unknown = self._survey.unknown
        if not unknown:
            self._seen_at = anyio.current_time()
        elif self._survey.is_seen:
            unknown = f"the managers of the swarm do not answer, so what was made since is not known: {unknown}"
        age_s = anyio.current_time() - self._seen_at if self._seen_at is not None else None
        return Sight(workspaces=self._workspaces or {}, age_s=age_s if unknown else 0.0, unknown=unknown)

    def _unite(self) -> None:
        views = [_view_of(keeper) for keeper in self._keepers.all()]
        parts = (part for view in views for part in (view.node, view.workspaces, view.told, view.note))
        made_of = (self._survey.rooms, *parts)
        if len(made_of) == len(self._made_of) and all(map(_is_same, made_of, self._made_of)):
            return
        rooms = self._survey.rooms
        kept = {view.node for view in views}
        strangers = {room.node for room in rooms.values()} - kept - {HERE}
        gone = [self._stranger(node) for node in sorted(strangers)]
        before, self._workspaces = self._workspaces, united(rooms, [*views, *gone])
        self._all = tuple((scope, each) for scope, of_scope in self._workspaces.items() for each in of_scope)
        self._made_of = made_of
        for chat in changed_chats(before, self._workspaces) if before is not None else ():
            self._changes.emit(Change(subject=Subject.CONTAINERS, chat=chat))

    def _stranger(self, node: NodeId) -> NodeView:
        """A node of which nothing is kept, yet or any more."""
        found = self._survey.nodes.get(node)
        hostname = found.hostname if found is not None else node
        return NodeView(
            node=node, hostname=hostname, workspaces={}, told=told_lost(hostname, why_lost(found, NOT_SEEN), None)
        )


def _view_of(keeper: Keeper) -> NodeView:
    last = keeper.keeping.watch.last
    note = DRAINED.format(availability=keeper.node.availability) if keeper.node and keeper.is_drained else ""
    workspaces = last.workspaces if last is not None else _NONE
    return NodeView(node=keeper.id, hostname=keeper.hostname, workspaces=workspaces, told=keeper.told, note=note)


def _is_same(one: object, other: object) -> bool:
    """Texts by what they say; lists, which are made anew when they change, by what they are."""
    return one == other if isinstance(one, str) else one is other or not (one or other)


_NONE: Mapping[Scope, tuple[Workspace, ...]] = {}
