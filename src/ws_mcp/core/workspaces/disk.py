"""Pauses workspaces whose data takes more room than it may, and lets them go on when it does not.

A soft quota: what is written between two looks is written. Most engines have no other way to bound a volume.
"""

from __future__ import annotations

import logging

from ws_mcp.core.clock import Now
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import ContainerId, Scope
from ws_mcp.core.own_acts import OwnAct, OwnActs
from ws_mcp.core.state import State
from ws_mcp.core.workspaces.as_seen import is_as_seen
from ws_mcp.core.workspaces.disk_holds import DiskHolds
from ws_mcp.core.workspaces.disk_plan import DiskHold, DiskPlan, DiskStep, plan_disk
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Workspace
from ws_mcp.core.workspaces.watch import Watch

log = logging.getLogger(__name__)

LOOK_S = 60.0  # the engine walks all volumes for an answer
RULE = "volume_mib"


class DiskQuota:
    """The quota of the data of each container workspace, the same one in all servers of an instance; 0 MiB: none."""

    def __init__(
        self, engine: Engine, state: State, ledger: Ledger, watch: Watch, *, acts: OwnActs, quota_mib: int, now: Now
    ) -> None:
        self._engine = engine
        self._state = state
        self._ledger = ledger
        self._watch = watch
        self._acts = acts
        self._quota_mib = quota_mib
        self._now = now
        self._holds = DiskHolds(state, now)

    async def look(self) -> None:
        """Look at all once.

        Raises:
            EngineError: nothing could be measured.
        """
        if not self._quota_mib or not await self._state.has_fills():
            return  # nobody wants it, or nothing was ever made: then the engine is not asked
        sight = await self._watch.list()
        if not any(sight.workspaces.values()):
            return
        sizes, holds = await self._engine.volume_usage(), await self._holds.all()
        for scope, of_chat in sight.workspaces.items():
            for workspace in of_chat:
                hold, size = holds.get(workspace.place), sizes.get(workspace.volume)
                plan = plan_disk(workspace, hold, size, self._quota_mib, self._now())
                if plan.step is not DiskStep.NOTHING and workspace.container is not None:
                    await self._settled(scope, workspace, workspace.container, plan)

    async def _settled(self, scope: Scope, workspace: Workspace, container: ContainerId, plan: DiskPlan) -> None:
        """Do it, if under its lock the workspace is still as it was seen."""
        async with self._state.lock_if_free(workspace.place) as is_held:
            try:
                if not is_held or not await is_as_seen(self._engine, self._state, self._ledger, workspace):
                    return
                if plan.hold is not None:
                    await self._paused(scope, workspace, container, plan.hold)
                elif plan.step is DiskStep.GO_ON:
                    await self._goes_on(scope, workspace, container)
                else:
                    await self._holds.forget(workspace.place)
            except EngineError as error:
                log.warning("cannot %s workspace %r for its data: %s", plan.step, workspace.name, error)

    async def _paused(self, scope: Scope, workspace: Workspace, container: ContainerId, hold: DiskHold) -> None:
        async with self._acts.act(_act(scope, "pause_workspace", workspace)):
            # Said before it is done: of a container that runs the next look thinks anew.
            await self._holds.keep(workspace.place, hold)
            await self._engine.pause(container)
        log.warning("workspace %r (%s) is paused: %s", workspace.name, workspace.place, hold.reason)

    async def _goes_on(self, scope: Scope, workspace: Workspace, container: ContainerId) -> None:
        async with self._acts.act(_act(scope, "unpause_workspace", workspace)):
            await self._engine.unpause(container)
            await self._holds.forget(workspace.place)
        log.warning("workspace %r (%s) goes on: its data is within its quota", workspace.name, workspace.place)


def _act(scope: Scope, verb: str, workspace: Workspace) -> OwnAct:
    return OwnAct(owner=scope, verb=verb, workspace=workspace.name, rule=RULE)
