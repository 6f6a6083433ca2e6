"""What is at /workspace: the whole matrix of access, folder, volume and tier, and the mount that follows (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from ws_mcp.core.engine.model import BindMount, Mount, VolumeMount
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.host.model import HostFolder

WORKSPACE = "/workspace"


class Access(StrEnum):
    """What a workspace may do with the folder of the host, or else with its volume."""

    NONE = "none"
    READ_ONLY = "read_only"
    READ_WRITE = "read_write"


class Storage(StrEnum):
    """Who keeps what is at /workspace."""

    VOLUME = "volume"  # a named volume of the workspace
    FOLDER = "folder"  # a directory of the host
    LAYER = "layer"  # the container alone: it goes when the container does


class Mismatch(StrEnum):
    """Why a request says two things that cannot both be, and what to change."""

    NO_ACCESS = "a folder needs access: say access 'read_only' or 'read_write', or leave the folder out"
    ACCESS_NONE = "access 'none' gives no folder: leave the folder out, or say access 'read_only' or 'read_write'"
    NONE_BUT_VOLUME = "access 'none' gives no volume: leave volume out, or say access 'read_write'"
    NOTHING_TO_READ = "access 'read_only' needs a folder, since a volume would stay empty; name one, or leave it out"
    NOTHING_TO_WRITE = "access 'read_write' needs a folder or the volume; name a folder, or leave volume out"
    BOTH = "a folder and a volume cannot both be at /workspace; leave volume or the folder out"
    TIER_1 = "tier 1 has no folder of the host; leave the folder out, or use tier 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlan:
    """What is at /workspace, and where processes begin."""

    storage: Storage
    access: Access
    cwd: str


OPEN = None  # what the caller did not say
NO, RO, RW = Access.NONE, Access.READ_ONLY, Access.READ_WRITE
VOLUME, FOLDER, LAYER = Storage.VOLUME, Storage.FOLDER, Storage.LAYER
# Each request that can be made. On the right first for tier 1, then for the others.
MATRIX: dict[tuple[Access | None, bool, bool | None], tuple[Storage | Mismatch, Storage | Mismatch]] = {
    # access, folder, volume
    (OPEN, False, OPEN): (VOLUME, VOLUME),
    (OPEN, False, True): (VOLUME, VOLUME),
    (OPEN, False, False): (LAYER, LAYER),
    (OPEN, True, OPEN): (Mismatch.TIER_1, Mismatch.NO_ACCESS),
    (OPEN, True, True): (Mismatch.TIER_1, Mismatch.BOTH),
    (OPEN, True, False): (Mismatch.TIER_1, Mismatch.NO_ACCESS),
    (NO, False, OPEN): (LAYER, LAYER),
    (NO, False, True): (Mismatch.NONE_BUT_VOLUME, Mismatch.NONE_BUT_VOLUME),
    (NO, False, False): (LAYER, LAYER),
    (NO, True, OPEN): (Mismatch.ACCESS_NONE, Mismatch.ACCESS_NONE),
    (NO, True, True): (Mismatch.ACCESS_NONE, Mismatch.ACCESS_NONE),
    (NO, True, False): (Mismatch.ACCESS_NONE, Mismatch.ACCESS_NONE),
    (RO, False, OPEN): (Mismatch.NOTHING_TO_READ, Mismatch.NOTHING_TO_READ),
    (RO, False, True): (Mismatch.NOTHING_TO_READ, Mismatch.NOTHING_TO_READ),
    (RO, False, False): (Mismatch.NOTHING_TO_READ, Mismatch.NOTHING_TO_READ),
    (RO, True, OPEN): (Mismatch.TIER_1, FOLDER),
    (RO, True, True): (Mismatch.TIER_1, Mismatch.BOTH),
    (RO, True, False): (Mismatch.TIER_1, FOLDER),
    (RW, False, OPEN): (VOLUME, VOLUME),
    (RW, False, True): (VOLUME, VOLUME),
    (RW, False, False): (Mismatch.NOTHING_TO_WRITE, Mismatch.NOTHING_TO_WRITE),
    (RW, True, OPEN): (Mismatch.TIER_1, FOLDER),
    (RW, True, True): (Mismatch.TIER_1, Mismatch.BOTH),
    (RW, True, False): (Mismatch.TIER_1, FOLDER),
}
# Without a folder the access follows from who keeps the files; tier 1 cannot make /workspace in its read-only system.
_ACCESS = {Storage.VOLUME: Access.READ_WRITE, Storage.LAYER: Access.NONE}
_CWD = {(Storage.LAYER, True): "/tmp"}  # noqa: S108 - inside


def plan_storage(access: Access | None, *, has_folder: bool, has_volume: bool | None, tier: int) -> StoragePlan:
    """What is at /workspace; None is what the caller left open.

    Raises:
        InvalidArgumentError: the request contradicts itself.
    """
    found = MATRIX[access, has_folder, has_volume][0 if tier == 1 else 1]
    if isinstance(found, Mismatch):
        raise InvalidArgumentError(found.value)
    return StoragePlan(
        storage=found,
        access=_ACCESS.get(found) or access or Access.NONE,
        cwd=_CWD.get((found, tier == 1), WORKSPACE),
    )


def workspace_mounts(plan: StoragePlan, *, volume: str, folder: HostFolder | None) -> tuple[Mount, ...]:
    """The mount at /workspace, if there is one. `folder` is the one that was opened, for a plan with a folder.

    Raises:
        InvalidArgumentError: it is to be read-only, and more is mounted in it, which that would not hold for.
    """
    if plan.storage is Storage.VOLUME:
        return (VolumeMount(volume=volume, target=WORKSPACE),)
    if plan.storage is Storage.LAYER or folder is None:
        return ()
    is_read_only = plan.access is Access.READ_ONLY
    if is_read_only and folder.mounts_below:
        raise InvalidArgumentError(
            f"the folder has another file system mounted at {folder.mounts_below[0]!r}, which cannot be given "
            "read-only with it; unmount it, or name a folder without"
        )
    return (BindMount(source=folder.path, target=WORKSPACE, is_read_only=is_read_only),)


def hidden_note(folder: HostFolder) -> str:
    """What a workspace does not see of its folder; "" when it sees all."""
    if not folder.mounts_below:
        return ""
    names = ", ".join(folder.mounts_below)
    return f"other file systems are mounted in the folder and stay empty in the workspace: {names}"


def check_apart(folder: str, writable: Iterable[str]) -> None:
    """Whether no folder that another workspace may write holds `folder`: that one could swap it for a link.

    Raises:
        ForbiddenError
    """
    path = PurePosixPath(folder)
    if any(path != PurePosixPath(other) and path.is_relative_to(other) for other in writable):
        raise ForbiddenError(
            f"folder {folder!r} is inside a folder that another workspace may write, which could swap it for a link; "
            "give that workspace access 'read_only', or choose another folder (no flag allows this)"
        )
