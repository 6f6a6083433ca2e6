"""All workspaces of an instance, containers and local ones, and how to reach the execd of each.

What was resolved before is remembered only as long as a connection to its execd lives: after that the engine is asked.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, suppress

from ws_mcp.core.errors import (
    EngineError,
    EngineUnavailableError,
    ForbiddenError,
    InvalidArgumentError,
    NotFoundError,
    PlaceUnavailableError,
)
from ws_mcp.core.execd.places import PlaceAddress, Places
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.workspaces.execd_inside import address_of
from ws_mcp.core.workspaces.file_access import StoppedFiles
from ws_mcp.core.workspaces.local import LocalWorkspaces
from ws_mcp.core.workspaces.model import (
    Workspace,
    WorkspaceKind,
    WorkspaceListing,
    WorkspaceState,
)
from ws_mcp.core.workspaces.port import Containers, Kept
from ws_mcp.core.workspaces.rules import RulesOf
from ws_mcp.core.workspaces.watch import Sight

log = logging.getLogger(__name__)

STOP_GRACE_S = 5.0
MAIN = WorkspaceName("main")
HINT = "Call provision_workspace to make one."


class Workspaces:
    """What a chat has to work in. Every lookup takes the scope."""

    def __init__(
        self, kept: Kept | None, local: LocalWorkspaces, places: Places, narrowed: RulesOf | None = None
    ) -> None:
        self._containers = kept.workspaces if kept is not None else None
        self.local = local
        self._watch = kept.watch if kept is not None else None
        self._places = places
        self._narrowed = narrowed
        self._resolved: dict[tuple[Scope, WorkspaceName], Workspace] = {}

    async def list(self, scope: Scope) -> WorkspaceListing:
        """The chat's workspaces; containers are unknown, not absent, while the engine does not answer."""
        local = await self.local.list(scope)
        if self._watch is None:
            return WorkspaceListing(workspaces=local)
        sight = await self._watch.list()
        found = (*await self.containers.shown(sight.of(scope)), *local)
        for workspace in found:
            if workspace.state is not WorkspaceState.RUNNING:
                # Its connection may not have noticed: a start would be sent into what cannot answer.
                self.forget(scope, workspace.name)
        return WorkspaceListing(workspaces=found, unknown=sight.unknown, age_s=sight.age_s)

    def look_again(self) -> None:
        """Something was just done to a container: who asks for the list from now on sees it."""
        if self._watch is not None and self._watch.is_begun:
            self._watch.look_soon()

    async def look_afresh(self, scope: Scope) -> None:
        """Who asks for the list of the chat from now on sees what anybody did until now."""
        if self._watch is not None and self._watch.is_begun:
            await self._watch.look_afresh(scope)

    async def list_all(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every workspace of this instance, for the operator.

        Raises:
            EngineError
        """
        containers = await self._containers.list_all() if self._containers else ()
        return (*containers, *await self.local.list_all())

    async def resolve(self, scope: Scope, name: WorkspaceName | None) -> tuple[WorkspaceName, PlaceAddress]:
        """The workspace that a start means; without a name the chat's only one, or the one called "main".

        Raises:
            NotFoundError: the chat has no such workspace.
            InvalidArgumentError: no name was given and it is not clear which one is meant.
            PlaceUnavailableError: it is stopped, or cannot answer now.
            ForbiddenError: it may more than its principal now may have.
        """
        # "main" wins wherever it exists, so without a name it need not be looked for as long as it is connected.
        meant = MAIN if name is None else name
        known = self._resolved.get((scope, meant))
        if known is not None and self._places.has(address := self.address(known)):
            self.check_granted(scope, known)
            return meant, address
        workspace = await self.meant(scope, name)
        if workspace.obstacle:
            raise PlaceUnavailableError(f"workspace {workspace.name!r} does not answer now: {workspace.obstacle}")
        if workspace.state is not WorkspaceState.RUNNING:
            raise PlaceUnavailableError(
                f"workspace {workspace.name!r} is stopped; call provision_workspace to start it"
            )
        self.check_granted(scope, workspace)
        self.remember(scope, workspace)
        return workspace.name, self.address(workspace)

    async def meant(self, scope: Scope, name: WorkspaceName | None) -> Workspace:
        """The workspace of this name, or, without one, the chat's only one, or the one called "main".

        Raises:
            NotFoundError, InvalidArgumentError
        """
        return await self.found(scope, name) if name is not None else await self._only(scope)

    def stopped_files(self, workspace: Workspace) -> AbstractAsyncContextManager[StoppedFiles]:
        """The files of a container workspace that does not run."""
        return self.containers.stopped_files(workspace)

    def address(self, workspace: Workspace) -> PlaceAddress:
        """How to reach the execd of a workspace."""
        return self.local.address(workspace.place) if workspace.kind is WorkspaceKind.LOCAL else address_of(workspace)

    def remember(self, scope: Scope, workspace: Workspace) -> None:
        """It was just seen to answer: the next start there need not look for it."""
        self._resolved[scope, workspace.name] = workspace

    def forget(self, scope: Scope, name: WorkspaceName) -> None:
        """It is about to change: look for it again."""
        self._resolved.pop((scope, name), None)

    async def check_granted_in(self, scope: Scope, name: WorkspaceName) -> None:
        """That work may go on in a workspace of the chat; what is no workspace of it is not judged.

        Raises:
            ForbiddenError
        """
        if self._narrowed is None:
            return
        known = self._resolved.get((scope, name))
        with suppress(NotFoundError):
            self.check_granted(scope, known or await self.found(scope, name))

    def check_granted(self, scope: Scope, workspace: Workspace) -> None:
        """A workspace outlives the grant that it was made with, and another transport may give its principal less.

        Raises:
            ForbiddenError
        """
        if self._narrowed is None:
            return
        try:
            self._narrowed(scope.principal).check_found(workspace)
        except ForbiddenError as error:
            raise ForbiddenError(
                f"nothing is started or written in workspace {workspace.name!r} any more: {error}; remove_workspace "
                "removes it"
            ) from error

    @property
    def sees_engine(self) -> bool:
        """Whether the engine answered last, and is being listened to."""
        return self._watch is not None and self._watch.sees_engine

    @property
    def last_sight(self) -> Sight | None:
        """The container workspaces as they were seen last, without a new look."""
        return self._watch.last if self._watch is not None else None

    @property
    def has_engine(self) -> bool:
        """Whether this server was started with an engine."""
        return self._containers is not None

    @property
    def containers(self) -> Containers:
        """The container workspaces.

        Raises:
            EngineUnavailableError: this server has no engine.
        """
        if self._containers is None:
            raise EngineUnavailableError("this server was started without a container engine; ask for kind 'local'")
        return self._containers

    async def found(self, scope: Scope, name: WorkspaceName) -> Workspace:
        """The workspace of this name.

        Raises:
            NotFoundError: the chat has none.
            EngineError: nobody can tell.
        """
        unknown: EngineError | None = None
        for kind in (self._containers, self.local):
            try:
                found = await kind.find(scope, name) if kind is not None else None
            except EngineError as error:
                unknown = error
                continue
            if found is not None:
                return found
        if unknown is not None:
            raise unknown
        listing = await self.list(scope)
        raise NotFoundError("workspace", name, (w.name for w in listing.workspaces), HINT)

    async def _only(self, scope: Scope) -> Workspace:
        listing = await self.list(scope)
        by_name = {workspace.name: workspace for workspace in listing.workspaces}
        if main := by_name.get(WorkspaceName("main")):
            return main
        if len(by_name) == 1 and not listing.unknown:
            return listing.workspaces[0]
        if by_name:
            hidden = " and containers that are not known now" if listing.unknown else ""
            raise InvalidArgumentError(f"say which workspace: this chat has {', '.join(sorted(by_name))}{hidden}")
        if listing.unknown:
            raise EngineUnavailableError(listing.unknown)
        raise NotFoundError("workspace", "main", (), HINT)
