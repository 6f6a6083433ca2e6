"""The core of one server: opens all owners in one place, hands out what belongs to a scope, and closes.

The server is a view: everything here can be built again by listing the engine, the local directory and the execds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.chats import ChatRef, Chats
from ws_mcp.core.clock import Now, utc_now
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineUnavailableError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.dial import dial_through
from ws_mcp.core.execd.places import Places, open_places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import ChatId, NewProcessId, PlaceId, PrincipalId, ProcessId, Scope, WorkspaceName, new_process_id
from ws_mcp.core.local_starts import LocalStarts
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.port import PlaceRef, PlacesUnknownError
from ws_mcp.core.processes.receipts import StateReceipts
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.local import LocalRules, LocalWorkspaces
from ws_mcp.core.workspaces.model import (
    OBSTACLES,
    Provisioned,
    Removed,
    Workspace,
    WorkspaceListing,
    WorkspaceSpec,
    WorkspaceState,
)
from ws_mcp.core.workspaces.registry import Workspaces
from ws_mcp.core.workspaces.service import ContainerWorkspaces, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the operator chose."""

    state: Path
    default_image: str = ""
    local: LocalRules = field(default_factory=LocalRules)
    keeps_local: bool = False
    limits: ProcessLimits = field(default_factory=ProcessLimits)


class Core:
    """Everything that a transport needs; made by `open_core`."""

    def __init__(
        self,
        choices: Choices,
        state: State,
        engine: Engine | None,
        places: Places,
        *,
        now: Now,
        changes: Changes,
        local_starts: LocalStarts,
    ) -> None:
        self.default_image = choices.default_image
        self.local = LocalWorkspaces(state, choices.local, now)
        self.places = places
        self.state = state
        self.changes = changes
        self._engine = engine
        self._choices = choices
        containers = ContainerWorkspaces(engine, state, choices.limits.ended) if engine else None
        self._workspaces = Workspaces(containers, self.local, places)
        self._receipts = StateReceipts(state, now)
        self._chats = Chats(state, now, self._make_manager, self._owners)
        self._local_starts = local_starts

    async def engine_answers(self) -> bool:
        """Whether a container engine answers now."""
        if self._engine is None:
            return False
        try:
            await self._engine.info()
        except EngineError:
            return False
        return True

    async def default_chat(self, principal: PrincipalId, hint: str) -> ChatRef:
        """The chat that a hint selects among the principal's own; the same one after a restart."""
        return await self._chats.default(principal, hint)

    async def new_chat(self, principal: PrincipalId, label: str) -> ChatRef:
        """A chat that nobody has had before."""
        return await self._chats.new(principal, label)

    async def chat(self, principal: PrincipalId, handle: str) -> ChatRef:
        """The principal's chat with this handle.

        Raises:
            NotFoundError: unknown, foreign or malformed.
        """
        return await self._chats.find(principal, handle)

    async def chats(self, principal: PrincipalId) -> tuple[ChatRef, ...]:
        """The principal's chats, newest first."""
        return await self._chats.list(principal)

    async def provision(self, scope: Scope, spec: WorkspaceSpec, report: Report) -> Provisioned:
        """See `Workspaces.provision`."""
        return await self._workspaces.provision(scope, spec, report)

    async def remove(self, scope: Scope, name: WorkspaceName, *, keep_volume: bool) -> Removed:
        """See `Workspaces.remove`."""
        return await self._workspaces.remove(scope, name, keep_volume=keep_volume)

    async def workspaces(self, scope: Scope) -> WorkspaceListing:
        """The chat's workspaces."""
        return await self._workspaces.list(scope)

    async def all_workspaces(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every workspace of this instance, for the operator at this machine."""
        return await self._workspaces.list_all()

    def processes(self, scope: Scope) -> ProcessManager:
        """The process manager of a chat."""
        return self._chats.processes(scope)

    async def client(self, workspace: Workspace) -> ExecdClient:
        """A connection to the execd of a workspace, for the operator's views."""
        return await self.places.client(self._workspaces.address(workspace))

    async def end_local(self) -> None:
        """End the local processes that this server started; called at a clean stop, unless they are to be kept."""
        if not self._choices.keeps_local:
            await self._local_starts.end(self.places)

    def _make_manager(self, scope: Scope) -> ProcessManager:
        async def places_of() -> tuple[PlaceRef, ...]:
            found = await self._workspaces.list(scope)
            refs = tuple(
                PlaceRef(
                    workspace=workspace.name,
                    address=self._workspaces.address(workspace),
                    is_running=workspace.state is WorkspaceState.RUNNING,
                    obstacle=OBSTACLES.get(workspace.state, ""),
                )
                for workspace in found.workspaces
            )
            if found.unknown:
                raise PlacesUnknownError(found.unknown, refs)
            return refs

        async def place_of(name: WorkspaceName | None) -> PlaceRef:
            workspace, address = await self._workspaces.resolve(scope, name)
            return PlaceRef(workspace=workspace, address=address, is_running=True)

        async def client_of(place: PlaceRef) -> ExecdClient:
            return await self.places.client(place.address)

        def on_started(place: PlaceRef, process: ProcessId) -> None:
            self._local_starts.note(scope, process, place.address)

        return ProcessManager(
            scope=scope,
            client_of=client_of,
            places_of=places_of,
            place_of=place_of,
            new_id=self._new_id,
            limits=self._choices.limits,
            receipts=self._receipts,
            on_started=on_started,
        )

    async def _owners(self) -> set[str]:
        """The chats that have a workspace, or the data of one that was removed.

        Raises:
            EngineError: containers and volumes cannot be listed now.
        """
        chats: set[str] = {scope.chat for scope, _ in await self._workspaces.list_all()}
        if self._engine is not None:
            volumes = await self._engine.list_volumes({naming.INSTANCE: self.state.instance.id})
            chats |= {volume.labels.get(naming.CHAT, "") for volume in volumes}
        elif await self.state.has_fills():
            raise EngineUnavailableError("this server was started without an engine, and another one had one")
        return chats

    _new_id: NewProcessId = staticmethod(new_process_id)


@asynccontextmanager
async def open_core(choices: Choices, engine: Engine | None, now: Now = utc_now) -> AsyncGenerator[Core]:
    """Open the core of a server. Container processes and workspaces outlive it.

    Raises:
        StateError: the state directory cannot be used.
    """
    async with open_state(choices.state) as state:

        def secret_of(place: PlaceId) -> str:
            return naming.secret_of(state.instance.key, place)

        changes, local_starts = Changes(), LocalStarts()

        def listen(place: PlaceId, event: Event) -> None:
            local_starts.hear(place, event)
            change = change_of(event)
            if change is not None:
                changes.emit(change)

        async with open_places(dial_through(engine), secret_of, "ws-mcp", listen) as places:
            yield Core(choices, state, engine, places, now=now, changes=changes, local_starts=local_starts)


def change_of(event: Event) -> Change | None:
    """What an event of an execd means for who watches a chat."""
    process = event.header.get("process")
    told = cast("Mapping[str, object]", process) if isinstance(process, dict) else event.header
    subject = Subject.OUTPUT if event.kind == "grew" else Subject.PROCESSES
    name, chat = told.get("process"), told.get("chat")
    if not isinstance(name, str) or not isinstance(chat, str):
        return None
    return Change(subject=subject, chat=ChatId(chat), process=ProcessId(name))
