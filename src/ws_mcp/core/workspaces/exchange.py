"""Files in and out of a chat's workspaces, whatever kind they are and whether they run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from ws_mcp.core.errors import ConflictError, InvalidArgumentError
from ws_mcp.core.execd.places import Places
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.workspaces.file_access import (
    MAX_BYTES,
    InnerPath,
    RunningFiles,
    StoppedFiles,
    check_writable,
    inner_path,
)
from ws_mcp.core.workspaces.model import (
    WORKDIR,
    DirectoryListing,
    FileSlice,
    Workspace,
    WorkspaceKind,
    WorkspaceState,
)
from ws_mcp.core.workspaces.registry import Workspaces

Files = RunningFiles | StoppedFiles


class Exchange:
    """Reads and writes files of workspaces. Every lookup takes the scope."""

    def __init__(self, workspaces: Workspaces, places: Places) -> None:
        self._workspaces = workspaces
        self._places = places

    async def read(self, scope: Scope, name: WorkspaceName | None, path: str, offset: int, limit: int) -> FileSlice:
        """At most `limit` bytes of a file from `offset` on.

        Raises:
            NotFoundError: no such workspace.
            InvalidArgumentError: no such file, no file, or a path outside.
        """
        if offset < 0 or not 0 < limit <= MAX_BYTES:
            raise InvalidArgumentError(f"offset is 0 or more, limit is 1 to {MAX_BYTES} bytes")
        wanted = inner_path(path)
        async with self._opened(scope, name) as (files, workspace):
            found = await files.read(_there(wanted, workspace), offset, limit)
        return replace(found, path=wanted.whole)

    async def write(
        self, scope: Scope, name: WorkspaceName | None, path: str, content: bytes, *, is_executable: bool
    ) -> FileSlice:
        """Put a whole file there, with the directories above it.

        Raises:
            NotFoundError, InvalidArgumentError, ForbiddenError
        """
        if len(content) > MAX_BYTES:
            raise InvalidArgumentError(
                f"the file has {len(content)} bytes: at most {MAX_BYTES} in one call; fetch larger ones inside, with "
                "start_process"
            )
        wanted = inner_path(path)
        check_writable(wanted)
        async with self._opened(scope, name) as (files, workspace):
            self._workspaces.check_granted(scope, workspace)
            written = await files.write(_there(wanted, workspace), content, is_executable=is_executable)
        return replace(written, path=wanted.whole)

    async def list(self, scope: Scope, name: WorkspaceName | None, path: str, limit: int) -> DirectoryListing:
        """The first names of a directory, sorted.

        Raises:
            NotFoundError, InvalidArgumentError
        """
        wanted = inner_path(path)
        async with self._opened(scope, name) as (files, workspace):
            found = await files.list(_there(wanted, workspace), limit)
        return replace(found, path=wanted.whole)

    @asynccontextmanager
    async def _opened(self, scope: Scope, name: WorkspaceName | None) -> AsyncGenerator[tuple[Files, Workspace]]:
        workspace = await self._workspaces.meant(scope, name)
        if workspace.state is WorkspaceState.RUNNING:
            client = await self._places.client(self._workspaces.address(workspace))
            yield RunningFiles(client), workspace
        elif workspace.kind is WorkspaceKind.LOCAL:
            raise ConflictError(f"workspace {workspace.name!r} is stopped; call provision_workspace to start it first")
        else:
            async with self._workspaces.stopped_files(workspace) as files:
                yield files, workspace


def _there(path: InnerPath, workspace: Workspace) -> InnerPath:
    """Where it is for the execd of a workspace: without a sandbox /workspace is a directory of the host."""
    is_open = workspace.kind is WorkspaceKind.LOCAL and workspace.sandbox == "none"
    if workspace.kind is WorkspaceKind.LOCAL and path.root != WORKDIR:
        raise InvalidArgumentError(f"a local workspace has no {path.root}; give a path below {WORKDIR}")
    return replace(path, root=workspace.path) if is_open else path
