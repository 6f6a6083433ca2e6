"""What nobody is given of this machine, whatever the operator allows: the one list, and whether a path touches it.

The system's own directories, the engine's socket and data, the files of ws-mcp itself; what is in them, and every
directory that holds one of them. Blocking: callers run it in a worker thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ws_mcp.core.host.model import Given

SYSTEM = (Path("/proc"), Path("/sys"), Path("/dev"), Path("/run"), Path("/var/run"))
ENGINE_DATA = (Path("/var/lib/docker"), Path("/var/lib/containers"), Path("/var/lib/containerd"))
UNIX = "unix://"

Identity = tuple[int, int]


def socket_of(endpoint: str) -> str:
    """The path of the engine's socket; empty where the engine is on another machine."""
    return endpoint.removeprefix(UNIX) if endpoint.startswith(UNIX) else ""


def closed_places(own: Iterable[Path], endpoint: str) -> tuple[Path, ...]:
    """What is closed beside the system's own directories. `own`: the files of ws-mcp; `endpoint`: the engine's."""
    socket = socket_of(endpoint)
    return (*own, *ENGINE_DATA, *((Path(socket),) if socket else ()))


def identity_of(status: os.stat_result) -> Identity:
    """What a file or directory is, whatever it is called."""
    return status.st_dev, status.st_ino


def identities_above(path: str) -> list[Identity]:
    """Of the directories that a path is in."""
    found: list[Identity] = []
    for parent in Path(path).parents:
        with suppress(OSError):
            found.append(identity_of(parent.stat()))
    return found


def is_named_closed(real: str, places: Iterable[Path]) -> bool:
    """Whether a path without links is, holds, or is in one of the places, by their names."""
    path = PurePosixPath(real)
    names = {name for place in (*SYSTEM, *places) for name in (str(place), os.path.realpath(place))}
    return any(path.is_relative_to(name) or PurePosixPath(name).is_relative_to(path) for name in names)


def is_seen_closed(above: Sequence[Identity], own: Identity | None, places: Iterable[Path]) -> bool:
    """As `is_named_closed`, by inode: another mount, or letters on a file system without case, are other names.

    `above`: of the directories that a path is in; `own`: of the path, None where nothing is there yet.
    """
    for place in (*SYSTEM, *places):
        real = os.path.realpath(place)
        with suppress(OSError):
            if identity_of(Path(real).stat()) in (*above, own) or own in identities_above(real):
                return True
    return False


def has_socket_with_two_names(places: Iterable[Path]) -> bool:
    """Whether a closed socket has a second name: it may be anywhere, too deep in a folder to look for."""
    for place in places:
        with suppress(OSError):
            status = place.stat()
            if stat.S_ISSOCK(status.st_mode) and status.st_nlink > 1:
                return True
    return False


def given_at(real: str, target: str) -> Given | None:
    """What is at a path without links, which is mounted at `target`; None: nothing."""
    with suppress(OSError):
        status = os.lstat(real)
        is_directory = stat.S_ISDIR(status.st_mode)
        return Given(target=target, device=status.st_dev, inode=status.st_ino, is_directory=is_directory)
    return None


def is_closed(real: str, places: Sequence[Path]) -> bool:
    """Whether nobody may have what is at a path without links. A socket is somebody's, whoever listens there."""
    if is_named_closed(real, places) or has_socket_with_two_names(places):
        return True
    own = None
    with suppress(OSError):
        status = Path(real).stat()
        if stat.S_ISSOCK(status.st_mode):
            return True
        own = identity_of(status)
    return is_seen_closed(identities_above(real), own, places)
