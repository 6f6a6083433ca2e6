"""Whether a workspace has to stand still for the size of its data, and whether it may go on (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ws_mcp.core.ids import ContainerId
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState

MIB = 1 << 20
GRACE_S = 120.0  # time to delete files in


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskHold:
    """This container was paused for the `size_bytes` of its data, of `quota_mib`; what else is paused is not ours.

    `until`: it was let go on until then. `is_final`: it was, and has grown since.
    """

    container: ContainerId
    size_bytes: int
    quota_mib: int
    until: datetime | None = None
    is_final: bool = False

    @property
    def reason(self) -> str:
        """Why it stands still, and what to do."""
        takes = f"its data takes {-(-self.size_bytes // MIB)} MiB of {self.quota_mib}"
        others = "let the operator raise --volume-mib, or call remove_workspace"
        if self.is_final:
            return f"{takes}, more than when it was last let go on: {others}"
        return f"{takes}: call provision_workspace to let it go on for {GRACE_S:.0f} s and delete files, {others}"


class DiskStep(StrEnum):
    """What to do with one workspace. `FORGET`: it runs, and its data is within what it may take."""

    NOTHING = "nothing"
    PAUSE = "pause"
    GO_ON = "go on"
    FORGET = "forget"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """A step, and with `PAUSE` what to remember."""

    step: DiskStep
    hold: DiskHold | None = None


def plan_disk(
    workspace: Workspace, hold: DiskHold | None, size_bytes: int | None, quota_mib: int, now: datetime
) -> DiskPlan:
    """What the size of its data asks for; None: nobody could measure it. `hold`: what is remembered of it."""
    if size_bytes is None or workspace.container is None or workspace.state is WorkspaceState.UNKNOWN:
        return DiskPlan(step=DiskStep.NOTHING)
    own = hold_of(workspace, hold)
    is_paused = workspace.state is WorkspaceState.PAUSED
    if size_bytes <= quota_mib * MIB:
        if hold is None:
            return DiskPlan(step=DiskStep.NOTHING)
        return DiskPlan(step=DiskStep.GO_ON if own and is_paused else DiskStep.FORGET)
    has_grace = own is not None and own.until is not None and now < own.until
    if workspace.state is not WorkspaceState.RUNNING or has_grace:
        return DiskPlan(step=DiskStep.NOTHING)
    has_grown = own is not None and own.until is not None and size_bytes > own.size_bytes
    again = DiskHold(container=workspace.container, size_bytes=size_bytes, quota_mib=quota_mib, is_final=has_grown)
    return DiskPlan(step=DiskStep.PAUSE, hold=again)


def hold_of(workspace: Workspace, hold: DiskHold | None) -> DiskHold | None:
    """What is remembered, if it is about this container: one that was made anew stands for itself."""
    return hold if hold is not None and hold.container == workspace.container else None


def let_go(hold: DiskHold, now: datetime) -> DiskHold:
    """What is remembered of one that goes on for a while."""
    return replace(hold, until=now + timedelta(seconds=GRACE_S), is_final=False)
