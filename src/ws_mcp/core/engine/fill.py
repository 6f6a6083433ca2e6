"""Puts files into a named volume through a container that is never started.

Its image is empty and was made here, so that nothing of anybody's image runs or gets into the volume; the archive is
not compressed, so that the engine runs no helper on it (CVE-2026-41567), and no running container can swap links
meanwhile (CVE-2026-42306).
"""

from __future__ import annotations

import io
import tarfile

import anyio

from ws_mcp.core.engine.model import ContainerSpec, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, ImageNotFoundError

EMPTY_IMAGE = "wsmcp-empty:1"
ROOT = "/fill"
VOLUME = "volume"
CLEAN_UP_S = 30.0


def file_entry(name: str, content: bytes, *, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    """A file of an archive for `fill_volume`; its name is relative to the volume."""
    entry = tarfile.TarInfo(f"{VOLUME}/{name}")
    entry.size, entry.mode = len(content), mode
    return entry, content


def root_entry(uid: int, gid: int) -> tuple[tarfile.TarInfo, bytes]:
    """The volume's own top directory, given to a user."""
    entry = tarfile.TarInfo(f"{VOLUME}/")
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, uid, gid
    return entry, b""


def tar_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An uncompressed archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content) if content else None)
    return buffer.getvalue()


async def fill_volume(engine: Engine, volume: str, archive: bytes) -> None:
    """Unpack `archive` into `volume`, whose lock the caller holds: a filler that is there already is a dead one."""
    spec = ContainerSpec(
        name=f"{volume}-fill",
        image=EMPTY_IMAGE,
        command=("/none",),
        # Mounted one level down: the engine skips the entry of the directory it unpacks into, and with it its owner.
        mounts=(VolumeMount(volume=volume, target=f"{ROOT}/{VOLUME}", copies_image_content=False),),
        network="none",
    )
    await _ensure_empty_image(engine)
    try:
        container = await engine.create(spec)
    except EngineConflictError:
        await engine.remove((await engine.inspect(spec.name)).id)
        container = await engine.create(spec)
    try:
        try:
            await engine.put_archive(container, ROOT, archive)
        except EngineNotFoundError:
            # Podman makes mount points with the first start, and heeds the entry of the directory it unpacks into.
            await engine.put_archive(container, f"{ROOT}/{VOLUME}", _one_level_up(archive))
    finally:
        with anyio.move_on_after(CLEAN_UP_S, shield=True):
            await engine.remove(container)


def _one_level_up(archive: bytes) -> bytes:
    entries: list[tuple[tarfile.TarInfo, bytes]] = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            content = members.extractfile(member) if member.isreg() else None
            member.name = f".{member.name.removeprefix(VOLUME)}"
            entries.append((member, content.read() if content else b""))
    return tar_of(*entries)


async def _ensure_empty_image(engine: Engine) -> None:
    try:
        await engine.image(EMPTY_IMAGE)
    except ImageNotFoundError:
        await engine.import_image(tar_of(), EMPTY_IMAGE)
