"""Takes away networks that span the nodes and belong to nobody; no node alone can tell who is in one.

The rules are those for all networks, over the containers of all nodes. As long as a workspace of the chat may be on a
node that does not answer, or is being made, its networks stay.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import anyio

from ws_mcp.core.engine.model import Network
from ws_mcp.core.engine.swarm_model import Room
from ws_mcp.core.engine.swarm_port import Managers
from ws_mcp.core.errors import EngineConflictError, EngineError
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.placement.keepers import Keepers
from ws_mcp.core.placement.plan import verified
from ws_mcp.core.placement.rooms import lock_name
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.sweep_plan import Leftover, LeftoverKind, Seen, has_container, plan_sweep
from ws_mcp.core.workspaces.sweeper import GRACE_S, SweepWish, Swept

log = logging.getLogger(__name__)

LOCK = "sweep-overlays"


class Overlays:
    """Sweeps the networks of one instance that span the nodes; safe with several servers."""

    def __init__(self, managers: Managers, state: State, ledger: Ledger, keepers: Keepers) -> None:
        self._managers = managers
        self._state = state
        self._ledger = ledger
        self._keepers = keepers
        self._since: dict[Leftover, float] = {}  # seen as nobody's, by this server

    async def sweep(self, wish: SweepWish, released: frozenset[PlaceId] = frozenset()) -> Swept:
        """Sweep as a person wants it; when one was made is not known, so age does not count.

        `released`: whose rooms would have gone by now, were it no dry run.

        Raises:
            EngineError: not everything could be looked at.
        """
        due = tuple(each for each in await self._nobodys(released) if each.workspace.startswith(wish.prefix))
        return Swept(due=due) if wish.is_dry_run else await self._remove_all(due)

    async def sweep_unasked(self) -> Swept:
        """Remove what this server has seen belong to nobody for `GRACE_S`.

        Raises:
            EngineError: not everything could be looked at.
        """
        async with self._state.lock_if_free(LOCK) as is_held:
            if not is_held:
                return Swept(due=())  # another server is at it
            now = anyio.current_time()
            self._since = {each: self._since.get(each, now) for each in await self._nobodys()}
            return await self._remove_all(tuple(each for each, at in self._since.items() if now - at >= GRACE_S))

    async def _nobodys(self, released: frozenset[PlaceId] = frozenset()) -> tuple[Leftover, ...]:
        instance = self._state.instance
        found = await self._managers.overlays({naming.INSTANCE: instance.id})
        overlays = tuple(each for each in found if naming.is_shared_name(each.name))
        if not overlays:
            return ()
        # Before and after: what is begun, or ends, while the nodes are asked.
        intents = await self._ledger.intents()
        answering = [keeper for keeper in await self._keepers.opened() if not keeper.why]
        containers = [await keeper.engine.list_containers({naming.INSTANCE: instance.id}) for keeper in answering]
        # After the containers: what is made meanwhile has a room, and its container is not among them.
        rooms = await self._managers.rooms({naming.INSTANCE: instance.id, naming.KIND: "room"})
        intents += await self._ledger.intents()
        seen = Seen(
            instance=instance.id,
            key=instance.key,
            containers=tuple(each for of_node in containers for each in of_node),
            volumes=(),
            networks=overlays,
            intents=frozenset(intent.place for intent in intents),
            chats=frozenset(),
        )
        there = {place: room for place, room in verified(instance, rooms, {}).items() if place not in released}
        return plan_overlays(seen, there)

    async def _remove_all(self, due: tuple[Leftover, ...]) -> Swept:
        removed: list[Leftover] = []
        kept: list[tuple[Leftover, str]] = []
        failure = ""
        for leftover in due:
            async with self._state.lock_if_free(lock_name(leftover.place)) as is_held:
                try:
                    why = await self._remove(leftover) if is_held else "a server works on its workspace"
                except EngineError as error:
                    failure = str(error)
                    break
            if why:
                kept.append((leftover, why))
            else:
                removed.append(leftover)
        return Swept(due=due, removed=tuple(removed), kept=tuple(kept), failure=failure)

    async def _remove(self, leftover: Leftover) -> str:
        """Why it was not removed; it is looked at again, since only now nobody else is at it."""
        if leftover not in await self._nobodys():
            return "it belongs to somebody by now"
        try:
            await self._managers.remove_overlay(leftover.name)
        except EngineConflictError as error:
            return str(error)
        log.info("removed network %s of %r: %s", leftover.name, leftover.workspace, leftover.why)
        return ""


def plan_overlays(seen: Seen, rooms: Mapping[PlaceId, Room]) -> tuple[Leftover, ...]:
    """Which of the networks are nobody's; `seen` has the containers of those nodes that answer (pure)."""
    unseen = {
        naming.scope_of(room.spec.labels)
        for place, room in rooms.items()
        if room.spec.is_held and not has_container(place, seen.containers)
    }
    networks: Mapping[str, Network] = {network.name: network for network in seen.networks}
    found = plan_sweep(seen, lambda each: each.kind is LeftoverKind.NETWORK)
    return tuple(each for each in found if naming.scope_of(networks[each.name].labels) not in unseen)
