"""The core of one server: opens all owners in one place, hands out what belongs to a scope, and closes.

The server is a view: everything here can be built again by listing the engine, the local directory and the execds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from ws_mcp.core.ages import Ages
from ws_mcp.core.bus import open_bus
from ws_mcp.core.ceilings import Ceilings
from ws_mcp.core.changes import Changes
from ws_mcp.core.chat_places import ChatPlaces
from ws_mcp.core.chats import ChatRef, Chats, ListedChat
from ws_mcp.core.choices import Choices
from ws_mcp.core.clock import Now, utc_now
from ws_mcp.core.closing import Closed, Closer, Closing
from ws_mcp.core.devcontainers.chosen import Chosen, open_chosen
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.dial import dial_by
from ws_mcp.core.execd.places import Listen, Places, open_places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.holdings import Holdings
from ws_mcp.core.ids import PlaceId, PrincipalId, Scope, new_process_id
from ws_mcp.core.jobs import Jobs, open_jobs
from ws_mcp.core.local_starts import LocalStarts
from ws_mcp.core.own_acts import OwnActs
from ws_mcp.core.placement.kept import Reach, open_kept
from ws_mcp.core.placement.opening import Ground, Placement, Swarm
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.port import PlaceRef
from ws_mcp.core.processes.receipts import StateReceipts
from ws_mcp.core.redaction import SECRETS
from ws_mcp.core.remembered import open_remembered
from ws_mcp.core.state import State, open_state
from ws_mcp.core.tickets import Tickets
from ws_mcp.core.told import change_of
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.exchange import Exchange
from ws_mcp.core.workspaces.local import LocalWorkspaces
from ws_mcp.core.workspaces.model import Workspace, WorkspaceListing
from ws_mcp.core.workspaces.port import Kept
from ws_mcp.core.workspaces.provisions import Provisions
from ws_mcp.core.workspaces.registry import Workspaces
from ws_mcp.core.workspaces.watch import Sight


class Core:
    """Everything that a transport needs; made by `open_core`."""

    def __init__(
        self,
        choices: Choices,
        state: State,
        engine: Engine | None,
        places: Places,
        jobs: Jobs,
        *,
        tickets: Tickets,
        kept: Kept | None,
        devcontainers: Chosen,
        ages: Ages,
        changes: Changes,
        local_starts: LocalStarts,
        own_acts: OwnActs,
    ) -> None:
        self.local = LocalWorkspaces(state, choices.local, ages.wall)
        self.rules_of = choices.rules_of
        self.places = places
        self.state = state
        self.changes = changes
        self.own_acts = own_acts
        self.tickets = tickets
        self._engine = engine
        self.placement = kept if isinstance(kept, Placement) else None
        self._choices = choices
        self._workspaces = Workspaces(kept, self.local, places, choices.narrowed)
        self.devcontainers = devcontainers.acts
        self.devcontainers_of = devcontainers.acts_of
        self._chat_places = ChatPlaces(self._workspaces, devcontainers.places_of)
        self.files = Exchange(self._workspaces, places)
        self._receipts = StateReceipts(state, ages)
        self._holdings = Holdings(self._workspaces, places, state)
        self._ceilings = Ceilings(choices.ceilings, self._holdings)
        self._provisions = Provisions(
            self._workspaces,
            places,
            jobs,
            key=state.instance.key,
            rules_of=self.rules_of,
            has_room=self._ceilings.check_workspace,
        )
        self.provision, self.stop = self._provisions.provision, self._provisions.stop
        self.remove = self._provisions.remove
        self._chats = Chats(state, ages, self._make_manager, self._holdings.owners, ages.shown)
        self.look_at_chat = self._chats.look
        self.default_chat_of = self._chats.default_of
        self._closer = Closer(self._chats, self._workspaces, self._provisions, self._holdings)
        self._local_starts = local_starts

    async def engine_answers(self) -> bool:
        """Whether a container engine answers now; a swarm counts as one: nobody means this machine instead of it."""
        if self.placement is not None or self.state.is_shared:
            return True
        try:
            return self._workspaces.sees_engine or (self._engine is not None and bool(await self._engine.info()))
        except EngineError:
            return False

    @property
    def last_sight(self) -> Sight | None:
        """The container workspaces as they were seen last; asks nobody."""
        return self._workspaces.last_sight

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

    async def chats(self, principal: PrincipalId) -> tuple[ListedChat, ...]:
        """The principal's chats, newest first."""
        return await self._chats.list(principal)

    async def close(self, scope: Scope, how: Closing) -> Closed:
        """See `Closer.close`."""
        return await self._closer.close(scope, how)

    async def workspaces(self, scope: Scope) -> WorkspaceListing:
        """The chat's workspaces; of a damaged state there may be more."""
        listing = await self._workspaces.list(scope)
        return replace(listing, unknown=listing.unknown or self.state.damage)

    async def all_workspaces(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every workspace of this instance, for the operator."""
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
        async def client_of(place: PlaceRef) -> ExecdClient:
            return await self.places.client(place.address)

        return ProcessManager(
            scope=scope,
            client_of=client_of,
            places_of=partial(self._chat_places.all, scope),
            place_of=partial(self._chat_places.of, scope),
            new_id=new_process_id,
            limits=self._choices.limits,
            receipts=self._receipts,
            on_started=lambda place, process: self._local_starts.note(scope, process, place.address),
            has_room=partial(self._ceilings.check_process, scope),
            may_write=partial(self._workspaces.check_granted_in, scope) if self._choices.narrowed else None,
        )


@asynccontextmanager
async def open_core(
    choices: Choices, engine: Engine | None, now: Now = utc_now, swarm: Swarm | None = None
) -> AsyncGenerator[Core]:
    """Open the core of a server. Container processes and workspaces outlive it. With a `swarm` they are on its nodes.

    Raises:
        StateError: the state directory cannot be used.
    """
    opened = open_state(choices.state, choices.database, may_stand_in=choices.may_stand_in and swarm is None)
    async with opened as state, open_bus(state, Changes()) as changes:
        secret_of = _secrets_of(state.instance.key)
        local_starts, acts = LocalStarts(), OwnActs()
        hearers = [local_starts.hear]
        async with AsyncExitStack() as stack:
            ages, notes, tickets = await stack.enter_async_context(open_remembered(state, now))
            reach = Reach(engine)
            listen = _tell_all(hearers, changes)
            places = await stack.enter_async_context(open_places(dial_by(reach), secret_of, "ws-mcp", listen))
            ground = Ground(state, places, choices.rules_of, choices.workspaces, acts, changes, ages)
            kept = await stack.enter_async_context(open_kept(engine, swarm, reach, ground))
            rules_of, below = choices.rules_of, choices.devcontainers
            chosen = open_chosen(below, engine, state, places, notes, rules_of=rules_of, changes=changes, ages=ages)
            devcontainers = await stack.enter_async_context(chosen)
            hearers.append(devcontainers.hear)
            jobs = await stack.enter_async_context(open_jobs(notes=notes))
            yield Core(
                choices,
                state,
                engine,
                places,
                jobs,
                tickets=tickets,
                kept=kept,
                devcontainers=devcontainers,
                ages=ages,
                changes=changes,
                local_starts=local_starts,
                own_acts=acts,
            )


def _tell_all(hearers: list[Listen], changes: Changes) -> Listen:
    """What is told of all events: those who hear them, and who listens to changes."""

    def listen(place: PlaceId, event: Event) -> None:
        for hear in hearers:
            hear(place, event)
        if (change := change_of(event)) is not None:
            changes.emit(change)

    return listen


def _secrets_of(key: bytes) -> Callable[[PlaceId], str]:
    """The secrets of places; neither they nor their key may be in anything that is written."""
    SECRETS.add_own_bytes(key)

    def secret_of(place: PlaceId) -> str:
        secret = naming.secret_of(key, place)
        SECRETS.add_own(secret)
        return secret

    return secret_of
