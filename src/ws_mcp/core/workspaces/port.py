"""What is asked of container workspaces and of the kept list of them, on one engine or on many."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.workspaces.builder import Report
from ws_mcp.core.workspaces.file_access import StoppedFiles
from ws_mcp.core.workspaces.model import Ask, Probe, Provisioned, Workspace, WorkspaceSpec
from ws_mcp.core.workspaces.readiness import Readiness
from ws_mcp.core.workspaces.watch import Sight


class Containers(Protocol):
    """The container workspaces of an instance. Each call may raise `EngineError` beside what it names."""

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned:
        """Make the workspace be there, run and answer; what is as asked for stays as it is.

        Raises:
            ConflictError, ImageNotFoundError, InvalidArgumentError, ForbiddenError, LimitError
        """
        ...

    async def list_all(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every container workspace with its scope."""
        ...

    async def find(self, scope: Scope, name: WorkspaceName) -> Workspace | None:
        """One workspace of the chat; None: there is certainly none."""
        ...

    async def shown(self, found: tuple[Workspace, ...]) -> tuple[Workspace, ...]:
        """Workspaces as seen, with what only this instance knows of them."""
        ...

    async def data(self) -> tuple[tuple[Scope, WorkspaceName], ...]:
        """Whose data there is, also that of removed workspaces."""
        ...

    async def readiness(self, workspace: Workspace, client: ExecdClient, probe: Probe) -> Readiness:
        """Wait for a probe; an answer in any case."""
        ...

    async def stop(self, workspace: Workspace) -> None:
        """Stop the container: what runs in it ends (TERM, then KILL), its files stay."""
        ...

    def stopped_files(self, workspace: Workspace) -> AbstractAsyncContextManager[StoppedFiles]:
        """The files of a workspace that does not run, under its lock.

        Raises:
            NotFoundError: it is gone.
        """
        ...

    async def remove(self, workspace: Workspace, *, keep_volume: bool) -> str:
        """Remove the container with all that belongs to it, and its data unless kept; returns the volume that stays."""
        ...

    async def remove_data(self, scope: Scope, name: WorkspaceName) -> bool:
        """Remove the data of a workspace whose container is gone; whether there was any."""
        ...


class Sights(Protocol):
    """The kept list of container workspaces. Nobody is asked anything before `list`."""

    @property
    def is_begun(self) -> bool:
        """Whether anybody asked yet."""
        ...

    @property
    def sees_engine(self) -> bool:
        """Whether the last look went well and changes are heard of."""
        ...

    @property
    def last(self) -> Sight | None:
        """What was seen last, without a new look; None before anybody asked."""
        ...

    async def list(self) -> Sight:
        """The workspaces of all chats: at once, if nothing has happened since they were looked at."""
        ...

    def look_soon(self) -> None:
        """Something was changed: look after this call, and let nobody see what was before it."""
        ...

    async def look_afresh(self, scope: Scope) -> None:
        """Let nobody see of a chat what was before this call, whoever changed it."""
        ...


class Kept(Protocol):
    """Container workspaces, and the list of them that is kept."""

    @property
    def workspaces(self) -> Containers: ...

    @property
    def watch(self) -> Sights: ...
