"""The workspaces whose idleness is watched: on the engine, and in what their execds say."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.places import Places
from ws_mcp.core.execd.protocol import ExecdProtocolError, Header, children, integer
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.own_acts import OwnAct, OwnActs
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.as_seen import is_as_seen
from ws_mcp.core.workspaces.idle_plan import CANNOT_BE, Activity
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.watch import Watch

log = logging.getLogger(__name__)

ASK_S = 10.0
STOP_GRACE_S = 10.0


class LiveIdleWorld:
    """See `idle.IdleWorld`."""

    def __init__(
        self,
        engine: Engine,
        state: State,
        ledger: Ledger,
        watch: Watch,
        *,
        places: Places,
        acts: OwnActs,
        client_of: Callable[[Workspace], Awaitable[ExecdClient]],
    ) -> None:
        self._engine = engine
        self._state = state
        self._places = places
        self._acts = acts
        self._watch = watch
        self._client_of = client_of
        self._ledger = ledger

    async def idle_stops(self) -> Mapping[PlaceId, int]:
        return await self._ledger.idle_stops()

    async def workspaces(self) -> tuple[Workspace, ...]:
        if not await self._state.has_fills():
            return ()  # nothing was ever made on an engine: no reason to ask one
        sight = await self._watch.list()
        return tuple(workspace for of_chat in sight.workspaces.values() for workspace in of_chat)

    async def activity(self, workspace: Workspace, *, is_thorough: bool) -> Activity | None:
        try:
            client = await self._client_of(workspace)
            running = (await client.stats()).running
            if running or not is_thorough:
                return Activity(boot=client.boot, running=running)
            return await _thorough(client)
        except (WsError, ExecdProtocolError) as error:
            log.info("whether anything goes on in %s is not known: %s", workspace.place, error)
            return None

    def is_busy(self, place: PlaceId) -> bool:
        return self._places.is_busy(place)

    def lock_if_free(self, place: PlaceId) -> AbstractAsyncContextManager[bool]:
        return self._state.lock_if_free(place)

    async def is_as_seen(self, workspace: Workspace) -> bool:
        return await is_as_seen(self._engine, self._state, self._ledger, workspace)

    async def stop(self, workspace: Workspace) -> None:
        if workspace.container is None:
            return
        owner = naming.scope_of((await self._engine.inspect(workspace.container)).labels)
        act = OwnAct(owner=owner, verb="stop_workspace", workspace=workspace.name, rule="idle_stop_s")
        async with self._acts.act(act):
            await self._engine.stop(workspace.container, STOP_GRACE_S)


async def _thorough(client: ExecdClient) -> Activity:
    """From the whole list; one that does not fit into one answer comes in parts."""
    running, seen, moments = 0, 0, [0]
    while True:
        header = (await client.call("list", {"all": True, "skip": seen}, timeout_s=ASK_S)).header
        part = tuple(children(header, "processes"))
        seen += len(part)
        running = integer(header, "running") + _left_behind(part)
        moments += (integer(each, name) for each in part for name in ("started_at_ms", "ended_at_ms"))
        if running or not part or seen >= integer(header, "total"):
            break
    return Activity(boot=client.boot, running=running, last_at=_moment(max(moments)))


def _left_behind(processes: Iterable[Header]) -> int:
    """Processes that ended ones started and that live on."""
    return sum(bool(each.get("lingering")) for each in processes)


def _moment(at_ms: int) -> datetime | None:
    """None for "never"."""
    if at_ms <= 0:
        return None
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return CANNOT_BE
