"""What is known of an instance's containers, from listings and inspections (pure but for being kept).

A listing says which there are; only those that it shows otherwise than before have to be inspected again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.seeing import listed_as_found
from ws_mcp.core.ids import ChatId, ContainerId, Scope
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.found import workspace_of
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState
from ws_mcp.core.workspaces.site import ONLY, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One container: as it was listed and inspected, when that was, and the workspace that it is."""

    listed: Container
    inspected_at: float
    scope: Scope
    workspace: Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One container that was inspected just now; None: it is gone."""

    listed: Container
    found: Container | None


def merged(
    key: bytes,
    known: Mapping[ContainerId, Known],
    listed: Iterable[Container],
    looked: Mapping[ContainerId, Looked],
    at: float,
    *,
    site: Site = ONLY,
    is_engine_back: bool = False,
) -> dict[ContainerId, Known]:
    """What is known now: what is listed, verified, as it was inspected now or before.

    `is_engine_back`: it just came back, so what ran and does not run any more ended with it.
    """
    now: dict[ContainerId, Known] = {}
    for container in listed:
        look = looked.get(container.id)
        if look is None:
            if container.id in known:
                now[container.id] = known[container.id]
        elif look.found is not None and naming.is_ours(key, look.found.name, look.found.labels):
            now[container.id] = Known(
                listed=listed_as_found(container, look.found),
                inspected_at=at,
                scope=naming.scope_of(look.found.labels),
                workspace=_ended(known.get(container.id), workspace_of(look.found, site), is_back=is_engine_back),
            )
    return now


def _ended(before: Known | None, workspace: Workspace, *, is_back: bool) -> Workspace:
    if before is None or workspace.state is not WorkspaceState.STOPPED:
        return workspace
    ended_now = is_back and before.workspace.state is WorkspaceState.RUNNING
    return replace(workspace, ended_with_engine=ended_now or before.workspace.ended_with_engine)


def by_scope(known: Iterable[Known]) -> dict[Scope, tuple[Workspace, ...]]:
    """The workspaces of each scope, oldest first."""
    found: dict[Scope, list[Workspace]] = {}
    for each in sorted(known, key=lambda each: (each.workspace.created_at, each.workspace.place)):
        found.setdefault(each.scope, []).append(each.workspace)
    return {scope: tuple(workspaces) for scope, workspaces in found.items()}


def changed_chats(
    before: Mapping[Scope, tuple[Workspace, ...]], after: Mapping[Scope, tuple[Workspace, ...]]
) -> tuple[ChatId, ...]:
    """The chats whose workspaces are not what they were."""
    differ = {scope.chat for scope in {**before, **after} if before.get(scope, ()) != after.get(scope, ())}
    return tuple(sorted(differ))
