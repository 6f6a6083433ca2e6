"""What a build reads, by where it really is: whether it stayed that from the check of a definition to its build's end.

The policy looks at paths, and the builder reads them later. A path that leads elsewhere by then was not checked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, join, normpath

import anyio.to_thread

from ws_mcp.core.devcontainers.definition import is_local, mapping, path_of, shown, texts
from ws_mcp.core.devcontainers.port import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Mooring:
    """One path: where it really leads, and what is there. `version` is of a file; a directory is written into."""

    real: str
    directory: tuple[int, int] | None = None
    version: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moorings:
    """All paths of a definition, by the name that a person gives them."""

    places: Mapping[str, Mooring] = field(default_factory=dict[str, Mooring])

    def moved(self, now: Moorings) -> tuple[str, ...]:
        """What leads elsewhere now: by a link, or as another directory."""
        return tuple(
            name
            for name, then in self.places.items()
            if (found := now.places.get(name)) is None or (found.real, found.directory) != (then.real, then.directory)
        )


Moored = Callable[[Definition], Awaitable[Moorings]]
"""How the paths of a definition are now."""


async def unmoored(_: Definition) -> Moorings:
    """Nothing is looked at."""
    return Moorings()


async def moorings_of(definition: Definition) -> Moorings:
    """Of a definition of this machine."""
    paths = paths_of(definition)
    places = await anyio.to_thread.run_sync(lambda: {name: _mooring(path) for name, path in paths.items()})
    return Moorings(places=places)


def paths_of(definition: Definition) -> Mapping[str, str]:
    """What its build reads, as far as the definition itself says it (pure)."""
    key, properties = definition.key, definition.properties
    build = mapping(properties.get("build"))
    dockerfile = build.get("dockerfile")
    files = [*texts(properties.get("dockerComposeFile")), *texts(dockerfile), *texts(build.get("context"))]
    named = [key.folder, key.config, *(path_of(definition, each) for each in files)]
    if isinstance(dockerfile, str) and not build.get("context"):
        named.append(dirname(path_of(definition, dockerfile) or key.config))
    features = (each for each in mapping(properties.get("features")) if is_local(each))
    named += [normpath(join(dirname(key.config), each)) for each in features]
    return {shown(path, key.folder): path for path in named if path}


def _mooring(path: str) -> Mooring:
    real = os.path.realpath(path)
    try:
        status = Path(real).stat()
    except OSError:
        return Mooring(real=real)
    if stat.S_ISDIR(status.st_mode):
        return Mooring(real=real, directory=(status.st_dev, status.st_ino))
    return Mooring(real=real, version=(status.st_dev, status.st_ino, status.st_ctime_ns))
