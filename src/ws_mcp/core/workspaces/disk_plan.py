"""Whether a workspace has to stand still for the size of its data, and why (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ws_mcp.core.ids import ContainerId
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskHold:
    """This container was paused by an instance for this reason; one that anybody else paused has none."""

    container: ContainerId
    reason: str


class DiskStep(StrEnum):
    """What to do with one workspace. `FORGET`: somebody else ended the pause; a later one is not ours."""

    NOTHING = "nothing"
    PAUSE = "pause"
    GO_ON = "go on"
    FORGET = "forget"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """A step, and with `PAUSE` the reason to tell."""

    step: DiskStep
    reason: str = ""


def plan_disk(workspace: Workspace, hold: DiskHold | None, size_bytes: int | None, quota_mib: int) -> DiskPlan:
    """What the size of its data asks for. A `quota_mib` of 0 is none; None: nobody could measure it."""
    is_held = hold is not None and hold.container == workspace.container
    is_over = quota_mib > 0 and size_bytes is not None and size_bytes > quota_mib * MIB
    if workspace.state is WorkspaceState.RUNNING and is_over:
        return DiskPlan(step=DiskStep.PAUSE, reason=_reason(size_bytes or 0, quota_mib))
    if hold is None or workspace.state is WorkspaceState.UNKNOWN:
        return DiskPlan(step=DiskStep.NOTHING)
    if not is_held or workspace.state is not WorkspaceState.PAUSED:
        return DiskPlan(step=DiskStep.FORGET)
    if is_over:
        reason = _reason(size_bytes or 0, quota_mib)
        return DiskPlan(step=DiskStep.NOTHING if reason == hold.reason else DiskStep.PAUSE, reason=reason)
    is_known = quota_mib == 0 or size_bytes is not None
    return DiskPlan(step=DiskStep.GO_ON if is_known else DiskStep.NOTHING)


def _reason(size_bytes: int, quota_mib: int) -> str:
    return (
        f"its data takes {-(-size_bytes // MIB)} MiB of {quota_mib}: let it run for up to a minute (stop_workspace with "
        "restart) and delete files, let the operator raise --volume-mib, or remove_workspace"
    )
