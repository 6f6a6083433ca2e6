"""Whose files a container's have to be: the account that its processes run as."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass

from ws_mcp.core.engine.fill import own_volume
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineNotFoundError
from ws_mcp.core.ids import ContainerId

PASSWD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of a container by number, and where its home is."""

    uid: int = 0
    gid: int = 0
    home: str = "/root"


async def account_of(engine: Engine, container: ContainerId, user: str) -> Account:
    """The account that `user` ("" is root) means in a container that never ran.

    Raises:
        EngineError: it has no user of that name.
    """
    name, _, group = user.partition(":")
    if name in ("", "0", "root"):
        return Account()
    if name.isdigit():
        return Account(uid=int(name), gid=int(group) if group.isdigit() else int(name), home="/")
    try:
        archive = await engine.get_archive(container, "/etc/passwd", PASSWD_BYTES)
    except EngineNotFoundError:
        archive = b""
    found = _entry(archive, name)
    if found is None:
        raise EngineError(f"the image has no user {name!r} in its /etc/passwd; fix the image, or give another `user`")
    return found


async def give_to(engine: Engine, volume: str, account: Account) -> bool:
    """Make the top of a volume belong to an account; what is in it stays as it is. Whether the engine can."""
    return await own_volume(engine, volume, account.uid, account.gid)


def _entry(archive: bytes, name: str) -> Account | None:
    if not archive:
        return None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            for line in content.read().decode(errors="replace").splitlines() if content else ():
                fields = line.split(":")
                if len(fields) >= 6 and fields[0] == name and fields[2].isdigit() and fields[3].isdigit():
                    return Account(uid=int(fields[2]), gid=int(fields[3]), home=fields[5] or "/")
    return None
