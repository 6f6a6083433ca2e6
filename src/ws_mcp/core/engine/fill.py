"""Puts files into a named volume through a container that is never started.

Its image is empty and was made here, so that nothing of anybody's image runs or gets into the volume; the archive is
not compressed, so that the engine runs no helper on it (CVE-2026-41567), and no running container can swap links
meanwhile (CVE-2026-42306).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from ws_mcp.core.engine.model import ContainerSpec, Mount, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, ImageNotFoundError
from ws_mcp.core.ids import ContainerId

EMPTY_IMAGE = "wsmcp-empty:1"
ROOT = "/fill"
VOLUME = "volume"
CLEAN_UP_S = 30.0


def file_entry(name: str, content: bytes, *, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    """A file of an archive for `fill_volume`; its name is relative to the volume."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    return entry, content


def tar_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An uncompressed archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content) if content else None)
        end = archive.offset
    # No further than the two blocks that end it: Podman's unpacker leaves then, and what is still sent makes it fail.
    return buffer.getvalue()[: end + 2 * tarfile.BLOCKSIZE]


def filler_of(volume: str) -> str:
    """The name of the container through which a volume is filled; one that is there was left by a dead server."""
    return f"{volume}-fill"


async def fill_volume(engine: Engine, volume: str, archive: bytes) -> None:
    """Unpack `archive` into `volume`, whose lock the caller holds: a filler that is there already is a dead one."""
    async with open_unstarted(engine, filler_of(volume), (_mount(volume),)) as container:
        await engine.put_archive(container, f"{ROOT}/{VOLUME}", archive)


async def own_volume(engine: Engine, volume: str, uid: int, gid: int) -> bool:
    """Give the volume's top directory to a user; False where the engine cannot (Podman does so at the first mount)."""
    entry = tarfile.TarInfo(f"{VOLUME}/")
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, uid, gid
    async with open_unstarted(engine, filler_of(volume), (_mount(volume),)) as container:
        try:
            # One level up: the engine skips the entry of the directory it unpacks into, and with it its owner.
            await engine.put_archive(container, ROOT, tar_of((entry, b"")))
        except EngineNotFoundError:
            return False
    return True


@asynccontextmanager
async def open_unstarted(engine: Engine, name: str, mounts: tuple[Mount, ...]) -> AsyncGenerator[ContainerId]:
    """A container that never runs, with these mounts and nothing else: files go through it, and links lead nowhere.

    The caller holds a lock: one of this name that is there already was left by a dead server.
    """
    spec = ContainerSpec(name=name, image=EMPTY_IMAGE, command=("/none",), mounts=mounts, network="none")
    await _ensure_empty_image(engine)
    try:
        container = await engine.create(spec)
    except EngineConflictError:
        await engine.remove((await engine.inspect(name)).id)
        container = await engine.create(spec)
    try:
        yield container
    finally:
        with anyio.move_on_after(CLEAN_UP_S, shield=True):
            await engine.remove(container)


def _mount(volume: str) -> VolumeMount:
    return VolumeMount(volume=volume, target=f"{ROOT}/{VOLUME}", copies_image_content=False)


async def _ensure_empty_image(engine: Engine) -> None:
    try:
        await engine.image(EMPTY_IMAGE)
    except ImageNotFoundError:
        await engine.import_image(tar_of(), EMPTY_IMAGE)
