"""Whose the data directory of a workspace has to be: the numeric user that its processes run as."""

from __future__ import annotations

import io
import tarfile

from ws_mcp.core.engine.fill import fill_volume, root_entry, tar_of
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineNotFoundError
from ws_mcp.core.ids import ContainerId

PASSWD_BYTES = 1024 * 1024


async def give_to_user(engine: Engine, container: ContainerId, volume: str, user: str) -> None:
    """Make `volume` belong to `user` of a container that never ran ("" or root: nothing to do)."""
    if user.partition(":")[0] in ("", "0", "root"):
        return
    uid, gid = await _numbers(engine, container, user)
    await fill_volume(engine, volume, tar_of(root_entry(uid, gid)))


async def _numbers(engine: Engine, container: ContainerId, user: str) -> tuple[int, int]:
    name, _, group = user.partition(":")
    if name.isdigit():
        return int(name), int(group) if group.isdigit() else int(name)
    try:
        archive = await engine.get_archive(container, "/etc/passwd", PASSWD_BYTES)
    except EngineNotFoundError:
        archive = b""
    found = _passwd_entry(archive, name)
    if found is None:
        raise EngineError(f"the image runs as user {user!r}, which its /etc/passwd does not have; fix the image")
    return found


def _passwd_entry(archive: bytes, name: str) -> tuple[int, int] | None:
    if not archive:
        return None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            for line in content.read().decode(errors="replace").splitlines() if content else ():
                fields = line.split(":")
                if len(fields) >= 4 and fields[0] == name and fields[2].isdigit() and fields[3].isdigit():
                    return int(fields[2]), int(fields[3])
    return None
