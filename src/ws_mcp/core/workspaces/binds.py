"""What a container gets of the host: a folder, what git needs beside it, worker programs; opened and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread

from ws_mcp.core.engine.model import BindMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import ForbiddenError
from ws_mcp.core.host.closed import closed_places, socket_of
from ws_mcp.core.host.folders import open_file, open_folder
from ws_mcp.core.host.model import HostFile, HostFolder, HostRules
from ws_mcp.core.workspaces.lane import GIT_ENVIRONMENT, check_targets, plan_binaries, plan_git
from ws_mcp.core.workspaces.mounts import Access, Storage, StoragePlan, hidden_note, workspace_mounts
from ws_mcp.core.workspaces.recipe import Recipe
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.tiers import Tier

USUAL_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binds:
    """The mounts, the folder that was opened, and what git needs to be told inside."""

    mounts: tuple[BindMount, ...] = ()
    folder: HostFolder | None = None
    engine_socket: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()


async def binds_of(recipe: Recipe, level: Tier, rules: WorkspaceRules, engine: Engine, own: Sequence[Path]) -> Binds:
    """Open everything of the host that a recipe names. `own`: the files of ws-mcp, which nobody gets.

    Raises:
        InvalidArgumentError: it cannot be used.
        ForbiddenError: the operator does not allow it, or the engine is on another machine.
    """
    if not (recipe.folder or recipe.mounts or level.has_engine_socket):
        return Binds()
    endpoint = (await engine.info()).endpoint
    socket = socket_of(endpoint)
    if (recipe.folder or recipe.mounts) and not socket:
        raise ForbiddenError(
            "the container engine is on another machine, which does not see the folders of this one: leave `folder` "
            "and `mounts` out, and copy files in with workspace_files"
        )
    host = HostRules(roots=rules.roots, closed=closed_places(own, endpoint))
    opened = await anyio.to_thread.run_sync(_opened, recipe, host)
    return Binds(
        mounts=opened.mounts,
        folder=opened.folder,
        engine_socket=(socket or USUAL_SOCKET) if level.has_engine_socket else "",
        environment=opened.environment,
        notes=opened.notes,
    )


def storage_of(recipe: Recipe) -> StoragePlan:
    """What a recipe has at /workspace."""
    storage = Storage.VOLUME if recipe.has_volume else Storage.FOLDER if recipe.folder else Storage.LAYER
    return StoragePlan(storage=storage, access=recipe.access, cwd="")


def _opened(recipe: Recipe, rules: HostRules) -> Binds:
    check_targets(recipe.mounts)
    folder = open_folder(recipe.folder, rules) if recipe.folder else None
    programs: dict[str, HostFile] = {target: open_file(path, rules) for target, path in recipe.mounts.items()}
    at_workspace = workspace_mounts(storage_of(recipe), volume="", folder=folder)
    git, why_not = plan_git(folder, recipe.access) if folder is not None else ((), "")
    mounts = (*(mount for mount in at_workspace if isinstance(mount, BindMount)), *git)
    return Binds(
        mounts=(*mounts, *plan_binaries(programs, mounts)),
        folder=folder,
        environment=GIT_ENVIRONMENT if git else {},
        notes=tuple(filter(None, (why_not, hidden_note(folder) if folder is not None else ""))),
    )


def is_writable(recipe: Recipe) -> bool:
    """Whether what runs inside may write the folder."""
    return bool(recipe.folder) and recipe.access is Access.READ_WRITE
