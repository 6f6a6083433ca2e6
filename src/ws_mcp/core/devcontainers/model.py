"""Dev containers as values: which there are, how each is, what a recreate is asked and answers (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ws_mcp.core.ids import ContainerId, PlaceId

SHORT_ID = 12  # as engines show ids
UNCHANGED = "none"  # the change of a recreate that found nothing to do


class Status(StrEnum):
    """How a dev container is. What is wrong with it besides stands beside this, not instead of it."""

    ABSENT = "absent"  # its definition was found, it was not made yet
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    STARTING = "starting"  # being made, made anew, or started
    STOPPING = "stopping"
    DELETING = "deleting"
    ERROR = "error"  # the last attempt left no container
    ORPHANED = "orphaned"  # its folder or its definition is gone
    UNKNOWN = "unknown"  # its definition cannot be read just now, or the engine does not answer


class Kind(StrEnum):
    """What a definition makes the container from."""

    IMAGE = "image"
    DOCKERFILE = "dockerfile"
    COMPOSE = "compose"


class Freshness(StrEnum):
    """Whether a container is what its definition would make now."""

    CLEAN = "clean"
    DIRTY = "dirty"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """Which dev container: absolute paths of this machine, without links. Locks are by folder."""

    folder: str
    config: str  # the devcontainer.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a container is out of date, and why: `reasons` in words, most important first.

    `pending`: edits that are no reason, and that its processes do not have.
    """

    freshness: Freshness
    reasons: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()  # inputs that are too large to be compared
    pending: tuple[str, ...] = ()
    is_adopted: bool = False  # made by others: compared with what they left, not with what we recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """Another container of the same compose project, or a second one of the same dev container."""

    name: str
    state: str
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DevContainer:
    """A dev container as seen last. `error`: of the last attempt, until one goes well. `user`, `path`: inside."""

    key: Key
    name: str
    status: Status
    container: ContainerId | None = None
    place: PlaceId | None = None
    created_at: datetime | None = None
    image: str = ""
    verdict: Verdict | None = None  # None: there is no container
    error: str = ""
    is_complete: bool = True  # False: a hook failed or was cut short, and those after it did not run
    user: str = ""
    path: str = ""
    project: str = ""  # of compose
    siblings: tuple[Sibling, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DevContainerListing:
    """All dev containers. `unknown`: why they could not be looked at now; then `age_s` is that of the list."""

    devcontainers: tuple[DevContainer, ...]
    unknown: str = ""
    age_s: float = 0.0

    def named(self, name: str) -> DevContainer | None:
        """The one of this name, whose container has this id, or a duplicate of which is called so."""
        return next((each for each in self.devcontainers if _is_meant(name, each)), None)


class Phase(StrEnum):
    """Where a recreate is, in order."""

    RESOLVE = "reading the configuration"
    INITIALIZE = "initializeCommand"
    BUILD = "building the image"
    CREATE = "creating the container"
    ON_CREATE = "onCreateCommand"
    UPDATE_CONTENT = "updateContentCommand"
    POST_CREATE = "postCreateCommand"
    POST_START = "postStartCommand"
    POST_ATTACH = "postAttachCommand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A lifecycle command that ran in the container."""

    name: str
    duration_s: float
    is_ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which dev container a call means: by name or container id (`name`), or by folder, or by folder and config."""

    name: str = ""
    folder: str = ""
    config: str = ""  # relative to the folder, or absolute


@dataclass(frozen=True, slots=True, kw_only=True)
class RecreateAsk:
    """How. Without `force` nothing is done to a container that is clean, complete and running."""

    force: bool = False
    is_dry_run: bool = False
    no_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recreated:
    """Answer to a recreate.

    `change`: "created", "recreated", "started", "none", or of a dry run what would be done. `runs`: of a dry run, the
    commands of this machine that would be run, the host's own hooks included.
    """

    devcontainer: DevContainer
    change: str
    old_container: ContainerId | None = None
    reasons: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    warnings: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """Answer to a start, a stop or a removal: how it is now (None: nothing is left), and what it was done to.

    `ended_processes`: that chats had running in it; None where nobody counted.
    """

    devcontainer: DevContainer | None
    containers: tuple[str, ...] = ()
    ended_processes: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept of a container, by its id: the inputs it was made from (`parts`: part to digest)."""

    container: ContainerId
    key: Key
    parts: Mapping[str, str]
    is_complete: bool = True
    error: str = ""
    is_adopted: bool = False
    user: str = ""
    path: str = ""
    image_id: str = ""
    made_at: datetime | None = None


def is_id_of(text: str, container: ContainerId | None) -> bool:
    """Whether a text names a container by its id, or by as much of it as engines show."""
    return len(text) >= SHORT_ID and container is not None and container.startswith(text)


def _is_meant(name: str, found: DevContainer) -> bool:
    return (
        name == found.name
        or is_id_of(name, found.container)
        or any(name == sibling.name for sibling in found.siblings if sibling.is_duplicate)
    )
