"""Which container the dev container CLI takes for a dev container's own (pure).

It goes by labels alone, and takes the newest, running or not: which may be another one than the one that counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from ws_mcp.core.devcontainers.model import DevContainer
from ws_mcp.core.devcontainers.sightings import CONFIG, FOLDER, PROJECT, PROJECT_FOLDER
from ws_mcp.core.engine.model import Container
from ws_mcp.core.errors import ConflictError


def picked_of(found: DevContainer, containers: Iterable[Container]) -> Container | None:
    """Of an image or a Dockerfile. Source: the CLI, `findContainerAndIdLabels`: one without a config will do."""
    of_folder = [each for each in containers if each.labels.get(FOLDER) == found.key.folder]
    named = [each for each in of_folder if each.labels.get(CONFIG) == found.key.config]
    picked = _newest(named or of_folder, found)
    return picked if picked is not None and (named or not picked.labels.get(CONFIG)) else None


def picked_of_project(found: DevContainer, composed: str, of_service: Iterable[Container]) -> Container | None:
    """Of compose, among the containers of its service. Source: the CLI, `findComposeContainer`.

    What the project is called is known of one that was made; before that it is one in the same directory.
    """
    label, wanted = (PROJECT, found.project) if found.project else (PROJECT_FOLDER, composed)
    return _newest([each for each in of_service if each.labels.get(label) == wanted], found)


def check_picked(found: DevContainer, picked: Container | None) -> None:
    """That the CLI would not work on another container than the one that is meant.

    Raises:
        ConflictError
    """
    if picked is None or picked.id == found.container:
        return
    is_duplicate = any(each.name == picked.name for each in found.siblings if each.is_duplicate)
    remove = f"remove it by that name with {'remove_workspace' if is_duplicate else 'docker rm'}"
    raise ConflictError(
        f"container {picked.name!r} carries the labels of dev container {found.name!r}: the dev container CLI would "
        f"take it for that one's own; {remove}, then call again"
    )


def _newest(containers: Iterable[Container], found: DevContainer) -> Container | None:
    # A list has whole seconds: of two of the same one the one that is meant.
    return max(containers, key=lambda each: (each.created_at, each.id == found.container), default=None)
