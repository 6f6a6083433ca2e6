"""Which containers of an engine are dev containers, and whose: found by their labels (pure).

Labels can be written by anybody who has the engine, and by every image. So a label only matches a dev container that is
below the operator's roots, and supplies nothing: whatever is not below them is none of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import PurePosixPath
from typing import cast

from ws_mcp.core.devcontainers.model import Key, Sibling
from ws_mcp.core.engine.model import BindMount, Container, ContainerState
from ws_mcp.core.workspaces.naming import WORKSPACE

FOLDER = "devcontainer.local_folder"
CONFIG = "devcontainer.config_file"
METADATA = "devcontainer.metadata"
TEST_RUN = "devcontainer.is_test_run"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
PROJECT_FOLDER = "com.docker.compose.project.working_dir"

MAX_METADATA_BYTES = 1 << 20
_LIVELIEST_FIRST = (ContainerState.RUNNING, ContainerState.RESTARTING, ContainerState.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the operator named, and what is known there.

    `links`: where paths of labels really lead; the caller looks that up, and leaves out what has no link in it.
    """

    roots: tuple[str, ...]
    known: frozenset[Key] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict[str, str])

    def path_of(self, text: str) -> str | None:
        """A path of a label as one of this machine below a root."""
        path = self.links.get(text, text)
        return path if is_plain(path) and any(is_below(path, root) for root in self.roots) else None

    def key_of(self, labels: Mapping[str, str]) -> Key | None:
        """The dev container that labels name. Without a config label (older tools): the folder's only known one."""
        folder = self.path_of(labels.get(FOLDER, ""))
        if folder is None:
            return None
        if labels.get(CONFIG):
            config = self.path_of(labels[CONFIG])
            return None if config is None else Key(folder=folder, config=config)
        keys = [key for key in self.known if key.folder == folder]
        return keys[0] if len(keys) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A dev container below the roots as the engine shows it.

    `container` is the one that counts, `duplicates` are others with the same key, the one that would count next first;
    `members` are the other containers of its compose project.
    """

    key: Key
    container: Container
    project: str = ""
    duplicates: tuple[Container, ...] = ()
    members: tuple[Container, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def siblings(self) -> tuple[Sibling, ...]:
        """Its duplicates, then the members of its project."""
        return (
            *(Sibling(name=each.name, state=each.state.value, is_duplicate=True) for each in self.duplicates),
            *(Sibling(name=each.name, state=each.state.value) for each in self.members),
        )


def sightings_of(
    containers: Iterable[Container], ground: Ground, filters: Mapping[str, str] | None = None
) -> tuple[Sighting, ...]:
    """Look through all containers of an engine; in the order of the keys.

    `filters`: labels that a dev container has to carry, all of them (an empty value matches any). Without any, those
    that a test run of a tool made are left out.
    """
    everything = tuple(containers)
    # A workspace may be made from any image, so what its image says that it is does not count.
    made = [each for each in everything if FOLDER in each.labels and WORKSPACE not in each.labels]
    wanted = [each for each in made if _is_wanted(each.labels, filters or {})]
    keyed = [(key, each) for each in wanted if (key := ground.key_of(each.labels)) is not None]
    keyed.sort(key=lambda pair: pair[0])
    return tuple(
        _sighting(key, [each for _, each in group], everything, ground)
        for key, group in groupby(keyed, key=lambda pair: pair[0])
    )


def metadata_of(labels: Mapping[str, str]) -> tuple[Mapping[str, object], ...] | None:
    """The entries of the metadata label, those of the image first; None where there is one that cannot be read.

    Compose writes a list as text with spaces, older tools one object.
    """
    text = labels.get(METADATA, "")
    if not text.strip():
        return ()
    if len(text) > MAX_METADATA_BYTES:
        return None
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    entries = cast("list[object]", parsed) if isinstance(parsed, list) else [parsed]
    if not all(isinstance(entry, dict) for entry in entries):
        return None
    return tuple(cast("dict[str, object]", entry) for entry in entries)


def has_folder(container: Container, folder: str) -> bool:
    """Whether the folder is really mounted in an inspected container: what labels say is no proof of that."""
    return inner_path_of(container, folder) is not None


def inner_path_of(container: Container, folder: str) -> str | None:
    """Where the folder, or what lies above it (the root of its repository), is mounted in an inspected container."""
    binds = [m for m in container.mounts if isinstance(m, BindMount) and is_plain(m.source) and m.source != "/"]
    nearest = max((m for m in binds if is_below(folder, m.source)), key=lambda m: len(m.source), default=None)
    if nearest is None:
        return None
    inner = PurePosixPath(nearest.target) / PurePosixPath(folder).relative_to(nearest.source)
    return str(inner)


def is_plain(path: str) -> bool:
    """Whether a path is absolute and says where it leads without detours."""
    return (
        path.startswith("/") and path.isprintable() and ".." not in path.split("/") and str(PurePosixPath(path)) == path
    )


def is_below(path: str, root: str) -> bool:
    """Whether a plain path is `root` or lies below it."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def _is_wanted(labels: Mapping[str, str], filters: Mapping[str, str]) -> bool:
    if filters:
        return all(name in labels and value in ("", labels[name]) for name, value in filters.items())
    return labels.get(TEST_RUN) != "true"


def _sighting(key: Key, same: list[Container], everything: tuple[Container, ...], ground: Ground) -> Sighting:
    best, *others = sorted(same, key=lambda each: _rank(each, key.folder))
    project = _project_of(best, ground)
    members = [each for each in everything if project and _project_of(each, ground) == project and each.id != best.id]
    ids = {each.id for each in same}
    return Sighting(
        key=key,
        container=best,
        project=project,
        duplicates=tuple(others),
        members=tuple(
            sorted((each for each in members if each.id not in ids and FOLDER not in each.labels), key=lambda e: e.name)
        ),
        warnings=tuple(_warnings(best, others)),
    )


def _rank(container: Container, folder: str) -> tuple[bool, int, float, str]:
    """The running, newest one first, of those that have the folder: labels come with any image, a mount does not."""
    order = len(_LIVELIEST_FIRST)
    life = _LIVELIEST_FIRST.index(container.state) if container.state in _LIVELIEST_FIRST else order
    return not has_folder(container, folder), life, -container.created_at.timestamp(), container.id


def _project_of(container: Container, ground: Ground) -> str:
    """Its compose project, if that is at home below the roots: a project is stopped and removed as one."""
    at_home = ground.path_of(container.labels.get(PROJECT_FOLDER, "")) is not None
    return container.labels.get(PROJECT, "") if at_home else ""


def _warnings(best: Container, others: list[Container]) -> Iterable[str]:
    if others:
        names = ", ".join(repr(each.name) for each in others[:5]) + (" ..." if len(others) > 5 else "")
        yield (
            f"{len(others)} more container{'s' if len(others) > 1 else ''} of this dev container: {names}; "
            f"{best.name!r} counts. Remove the others by their names with remove_workspace"
        )
    if metadata_of(best.labels) is None:
        yield "its devcontainer.metadata label cannot be read, so what it was made from is not known"


def paths_of(containers: Iterable[Container]) -> frozenset[str]:
    """What their labels say about folders and files of this machine."""
    labels = (FOLDER, CONFIG, PROJECT_FOLDER)
    return frozenset(each.labels[label] for each in containers for label in labels if label in each.labels)
