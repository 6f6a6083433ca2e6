"""Pauses workspaces whose data takes more room than it may, and lets them go on when it does not.

A soft quota: what is written between two looks is written. Most engines have no other way to bound a volume.
"""

from __future__ import annotations

import logging

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.disk_plan import DiskHold, DiskPlan, DiskStep, plan_disk
from ws_mcp.core.workspaces.found import workspace_of
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.watch import Watch

log = logging.getLogger(__name__)

LOOK_S = 60.0  # the engine walks all volumes for an answer


class DiskQuota:
    """The quota of the data of each container workspace; 0 MiB: none, and what was paused for one goes on."""

    def __init__(self, engine: Engine, state: State, ledger: Ledger, watch: Watch, quota_mib: int) -> None:
        self._engine = engine
        self._state = state
        self._ledger = ledger
        self._watch = watch
        self._quota_mib = quota_mib

    async def look(self) -> None:
        """Look at all once.

        Raises:
            EngineError: nothing could be measured.
        """
        holds = await self._ledger.disk_holds()
        if not (holds or self._quota_mib) or not await self._state.has_fills():
            return  # nobody wants it, or there is no workspace: then the engine is not asked
        sight = await self._watch.list()
        found = tuple(workspace for of_chat in sight.workspaces.values() for workspace in of_chat)
        sizes = await self._engine.volume_usage() if found and self._quota_mib else {}
        for workspace in found:
            plan = plan_disk(workspace, holds.get(workspace.place), sizes.get(workspace.volume), self._quota_mib)
            if plan.step is DiskStep.NOTHING or workspace.container is None:
                continue
            try:
                await self._settle(workspace, workspace.container, plan)
            except EngineError as error:
                log.warning("cannot %s workspace %r for its data: %s", plan.step, workspace.name, error)

    async def _settle(self, workspace: Workspace, container: ContainerId, plan: DiskPlan) -> None:
        """Do it, if under its lock the workspace is still as it was seen."""
        place = workspace.place
        with self._state.lock_if_free(place) as is_held:
            if not is_held or not await self._is_as_seen(workspace, container):
                return
            if plan.step is DiskStep.PAUSE:
                # Said before it is done: a server that dies in between leaves a note that the next look takes away.
                await self._ledger.hold_disk(place, DiskHold(container=container, reason=plan.reason))
                await self._engine.pause(container)
                log.warning("workspace %r (%s) is paused: %s", workspace.name, place, plan.reason)
                return
            if plan.step is DiskStep.GO_ON:
                await self._engine.unpause(container)
                log.warning("workspace %r (%s) goes on: its data is within what it may take", workspace.name, place)
            await self._ledger.release_disk(place)

    async def _is_as_seen(self, workspace: Workspace, container: ContainerId) -> bool:
        if await self._ledger.intent(workspace.place) is not None:
            return False
        found = await self._engine.inspect(container)
        is_ours = found.name == workspace.place and naming.is_ours(self._state.instance.key, found.name, found.labels)
        return is_ours and workspace_of(found).state is workspace.state
