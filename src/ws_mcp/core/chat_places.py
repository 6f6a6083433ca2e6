"""Where the processes of a chat can be: its own workspaces, and the dev containers of this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ws_mcp.core.errors import InvalidArgumentError, NotFoundError
from ws_mcp.core.ids import PrincipalId, Scope, WorkspaceName
from ws_mcp.core.processes.port import PlaceRef, PlacesUnknownError
from ws_mcp.core.workspaces.model import WorkspaceState
from ws_mcp.core.workspaces.registry import Workspaces


class DevPlaces(Protocol):
    """The places of dev containers, which all chats share; their execds keep the chats apart."""

    async def there(self) -> tuple[PlaceRef, ...]:
        """Those in which processes may be, as last looked at; the first time they are looked at now."""
        ...

    async def place_of(self, name: str) -> PlaceRef:
        """The place of a dev container that runs; its execd is there when this returns.

        Raises:
            NotFoundError: there is no dev container of this name.
            PlaceUnavailableError
        """
        ...


ENDED_WITH_ENGINE = "ended when the container engine restarted"


class ChatPlaces:
    """The places of chats."""

    def __init__(self, workspaces: Workspaces, devcontainers_of: Callable[[PrincipalId], DevPlaces]) -> None:
        self._workspaces = workspaces
        self._devcontainers_of = devcontainers_of

    async def all(self, scope: Scope, *, is_fresh: bool = False) -> tuple[PlaceRef, ...]:
        """Every place in which a process of the chat may be; with `is_fresh` by a look that begins now.

        Raises:
            PlacesUnknownError: not all can be told now.
        """
        if is_fresh:
            await self._workspaces.look_afresh(scope)
        found = await self._workspaces.list(scope)
        refs = tuple(
            PlaceRef(
                workspace=workspace.name,
                address=self._workspaces.address(workspace),
                is_running=workspace.state is WorkspaceState.RUNNING,
                obstacle=workspace.obstacle,
                ended=ENDED_WITH_ENGINE if workspace.ended_with_engine else "was stopped",
            )
            for workspace in found.workspaces
        )
        refs += await self._devcontainers_of(scope.principal).there()
        if found.unknown:
            raise PlacesUnknownError(found.unknown, refs)
        return refs

    async def of(self, scope: Scope, name: WorkspaceName | None) -> PlaceRef:
        """The place that a start means; a workspace of the chat wins over a dev container of the same name.

        Raises:
            NotFoundError, InvalidArgumentError, PlaceUnavailableError
        """
        try:
            workspace, address = await self._workspaces.resolve(scope, name)
        except NotFoundError as error:
            return await self._devcontainer(self._devcontainers_of(scope.principal), name, error)
        return PlaceRef(workspace=workspace, address=address, is_running=True)

    async def _devcontainer(
        self, devcontainers: DevPlaces, name: WorkspaceName | None, missing: NotFoundError
    ) -> PlaceRef:
        if name is not None:
            try:
                return await devcontainers.place_of(name)
            except NotFoundError:
                raise missing from None
        seen = [ref.workspace for ref in await devcontainers.there() if ref.is_running]
        if not seen:
            raise missing
        if len(seen) > 1:
            raise InvalidArgumentError(f"say which workspace: there are the dev containers {', '.join(sorted(seen))}")
        return await devcontainers.place_of(seen[0])
