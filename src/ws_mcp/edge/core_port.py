"""What the edge needs of the core, in the core's own words; `core.runtime.Core` and the fake of the tests both fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from ws_mcp.core.devcontainers.model import Acted, DevContainerListing, RecreateAsk, Recreated, Target
from ws_mcp.core.ids import ChatId, PrincipalId, ProcessId, Scope, WorkspaceName
from ws_mcp.core.jobs import WAIT_S, StillRunning
from ws_mcp.core.processes.model import (
    Listing,
    OutputWindow,
    ProcessInfo,
    ProcessState,
    ReadRequest,
    SignalResult,
    Started,
    StartRequest,
    TtySize,
    Written,
)
from ws_mcp.core.workspaces.model import (
    Ask,
    DirectoryListing,
    FileSlice,
    Pending,
    Provisioned,
    Removed,
    Stopped,
    WorkspaceListing,
    WorkspaceSpec,
)
from ws_mcp.core.workspaces.rules import WorkspaceRules

Report = Callable[[str, float], Awaitable[None]]
"""Called with the phase (words) and the fraction done (0 to 1)."""


class ChatRef(Protocol):
    """A chat as its owner sees it; who has the handle and is the right principal, has the chat."""

    @property
    def id(self) -> ChatId: ...
    @property
    def handle(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def is_default(self) -> bool: ...


class Processes(Protocol):
    """The processes of one chat. Every call raises `NotFoundError` for a process that the chat does not have."""

    async def attend(self) -> bool: ...
    async def start(self, workspace: WorkspaceName | None, request: StartRequest) -> Started: ...
    async def list(self, state: ProcessState | None, limit: int) -> Listing: ...
    async def read(self, process: ProcessId, request: ReadRequest) -> OutputWindow: ...
    async def write(self, process: ProcessId, data: bytes, *, close: bool) -> Written: ...
    async def resize(self, process: ProcessId, size: TtySize) -> ProcessInfo: ...
    async def signal(self, process: ProcessId, signal: str, grace_s: float) -> SignalResult: ...


class Files(Protocol):
    """Files of a chat's workspaces."""

    async def read(self, scope: Scope, name: WorkspaceName | None, path: str, offset: int, limit: int) -> FileSlice: ...
    async def write(
        self, scope: Scope, name: WorkspaceName | None, path: str, content: bytes, *, is_executable: bool
    ) -> FileSlice: ...
    async def list(self, scope: Scope, name: WorkspaceName | None, path: str, limit: int) -> DirectoryListing: ...


class DevContainers(Protocol):
    """The dev containers below the operator's roots; without roots every call but `list` is forbidden."""

    async def list(self, *, is_fresh: bool = False) -> DevContainerListing: ...
    async def recreate(
        self, target: Target, ask: RecreateAsk, report: Report, wait_s: float = WAIT_S
    ) -> Recreated | StillRunning: ...
    async def start(self, name: str, report: Report, wait_s: float = WAIT_S) -> Acted | StillRunning: ...
    async def stop(self, name: str, report: Report, wait_s: float = WAIT_S) -> Acted | StillRunning: ...
    async def remove(self, name: str, report: Report, wait_s: float = WAIT_S) -> Acted | StillRunning: ...


class Core(Protocol):
    """Everything behind the tools and resources. Every lookup takes the caller's principal or scope."""

    @property
    def rules(self) -> WorkspaceRules: ...
    @property
    def files(self) -> Files: ...
    @property
    def devcontainers(self) -> DevContainers: ...
    async def engine_answers(self) -> bool: ...
    async def default_chat(self, principal: PrincipalId, hint: str) -> ChatRef: ...
    async def new_chat(self, principal: PrincipalId, label: str) -> ChatRef: ...
    async def chat(self, principal: PrincipalId, handle: str) -> ChatRef: ...
    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned | Pending: ...
    async def stop(self, scope: Scope, name: WorkspaceName, *, restarts: bool) -> Stopped: ...
    async def remove(self, scope: Scope, name: WorkspaceName, *, keep_volume: bool) -> Removed: ...
    async def workspaces(self, scope: Scope) -> WorkspaceListing: ...
    def processes(self, scope: Scope) -> Processes: ...
