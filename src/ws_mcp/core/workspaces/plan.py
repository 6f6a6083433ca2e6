"""What has to be done so that a container workspace is as asked for (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.disk_plan import DiskHold
from ws_mcp.core.workspaces.model import Replace

_LIVE = (ContainerState.RUNNING, ContainerState.RESTARTING)


class Step(StrEnum):
    """The one thing to do next."""

    NOTHING = "none"
    START = "started"
    GO_ON = "resumed"  # it was paused for the size of its data, and is given time to delete some
    CREATE = "created"
    RECREATE = "recreated"
    REPLACE = "replaced"  # it was created and never started: a server died in between, nothing of worth is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A step and why. With `NOTHING` and reasons the workspace is out of date and kept, since processes run in it."""

    step: Step
    reasons: tuple[str, ...] = ()


def check_ours(workspace: WorkspaceName, key: bytes, found: Container) -> None:
    """That a container under a name of ours is ours.

    Raises:
        ConflictError
    """
    if not naming.is_ours(key, found.name, found.labels):
        raise ConflictError(
            f"a container with the engine name of workspace {workspace!r} exists that this ws-mcp did not make; "
            "choose another name, or remove that container by hand"
        )


def plan_workspace(
    workspace: WorkspaceName,
    found: Container | None,
    *,
    asked: tuple[str, ...],
    reasons: tuple[str, ...],
    running: int | None,
    replace: Replace,
    hold: DiskHold | None = None,
) -> Plan:
    """Which step leads from what was found to what is asked for.

    `asked`: what the wish changes of what is recorded; `reasons`: all differences, those included. `running`: how many
    processes run in it, None when nobody can tell. `hold`: what is remembered of this
    container if it was paused for the size of its data.

    Raises:
        ConflictError: making it anew would end processes, and nobody said that it may; or it is paused.
    """
    if found is None:
        return Plan(step=Step.CREATE)
    if found.state is ContainerState.CREATED and found.started_at is None:
        return Plan(step=Step.REPLACE)
    if found.state is ContainerState.PAUSED:
        return _of_paused(workspace, hold, asked, reasons)
    if not reasons:
        return Plan(step=Step.NOTHING if found.state in _LIVE else Step.START)
    is_idle = found.state not in _LIVE or running == 0
    if is_idle or replace is Replace.ALWAYS:
        return Plan(step=Step.RECREATE, reasons=reasons)
    if not asked:
        return Plan(step=Step.NOTHING, reasons=reasons)
    known = "1 process runs" if running == 1 else f"{running} processes run"
    many = "processes may run" if running is None else known
    raise ConflictError(
        f"workspace {workspace!r} exists and differs from what you ask for: {'; '.join(asked)}. Making it anew would "
        f'end what runs in it ({many}): call again with replace="always" to do so (its data is kept), or choose '
        "another name"
    )


def _of_paused(
    workspace: WorkspaceName, hold: DiskHold | None, asked: tuple[str, ...], reasons: tuple[str, ...]
) -> Plan:
    if hold is None:
        raise ConflictError(f"workspace {workspace!r} is paused on the engine; unpause its container first")
    if hold.is_final:
        raise ConflictError(f"workspace {workspace!r} is paused: {hold.reason}")
    if asked:
        raise ConflictError(
            f"workspace {workspace!r} is paused, since {hold.reason}; what you ask for changes it "
            f"({'; '.join(asked)}): let it go on without changes first"
        )
    return Plan(step=Step.GO_ON, reasons=reasons)
