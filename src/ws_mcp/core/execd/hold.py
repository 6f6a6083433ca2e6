"""The image with which a room is held on a node: execd alone, which waits until it is told to end.

Its name is the same on every node, whatever processor that has: nobody knows before where a room will be. It names
a registry that nobody can run there, port 1 of the node itself: Swarm asks the registry of an image that it starts,
also of one that is there, and of this one nobody else is to hear.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache

import anyio.to_thread

from ws_mcp.core.engine.fill import file_entry, tar_of
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, ImageNotFoundError
from ws_mcp.core.execd.binaries import Binary, NoBinaryError, binary

REPOSITORY = "localhost:1/ws-mcp-hold"
COMMAND = ("/execd", "hold")
ARCHITECTURES = ("amd64", "arm64")


@cache
def hold_image() -> str:
    """The name of the image, with what its content follows from.

    Raises:
        NoBinaryError: this build has no execd for Linux.
    """
    digests = [found.digest for architecture in ARCHITECTURES if (found := _binary_of(architecture))]
    if not digests:
        raise NoBinaryError("linux", ARCHITECTURES[0])
    return f"{REPOSITORY}:{hashlib.sha256(' '.join(digests).encode()).hexdigest()[:12]}"


async def ensure_hold(engine: Engine, architecture: str) -> None:
    """Make the image on the engine of a node, unless it is there.

    Raises:
        NoBinaryError: there is no execd for this architecture.
    """
    name = hold_image()
    try:
        await engine.image(name)
    except ImageNotFoundError:
        program = binary("linux", architecture)
        await engine.import_image(await anyio.to_thread.run_sync(_tar_of, program), name)


async def forget_old_holds(engine: Engine, used: Collection[str]) -> tuple[str, ...]:
    """Remove those of other builds, but none of the names `used`, nor one that a container has; says which went."""
    gone: list[str] = []
    for image in await engine.list_images():
        for tag in image.tags:
            if not tag.startswith(f"{REPOSITORY}:") or tag == hold_image() or tag in used:
                continue
            try:
                await engine.remove_image(tag)
            except EngineConflictError:
                continue
            gone.append(tag)
    return tuple(gone)


def _binary_of(architecture: str) -> Binary | None:
    try:
        return binary("linux", architecture)
    except NoBinaryError:
        return None


def _tar_of(program: Binary) -> bytes:
    return tar_of(file_entry("execd", program.path.read_bytes(), mode=0o755))
