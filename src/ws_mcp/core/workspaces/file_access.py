"""Files of a workspace, from outside: through its execd while it runs, through the engine while it is stopped.

Paths stay below /workspace or /configs, links included.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ws_mcp.core.engine.fill import open_unstarted
from ws_mcp.core.engine.model import Container, Mount, TmpfsMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.entries import FileEntry
from ws_mcp.core.errors import EngineNotFoundError, ForbiddenError, InvalidArgumentError
from ws_mcp.core.execd import files
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.workspaces.files import archive_of, check_path, name_below
from ws_mcp.core.workspaces.model import CONFIGS, WORKDIR, DirectoryListing, FileEntryInfo, FileSlice
from ws_mcp.core.workspaces.naming import reader_name
from ws_mcp.core.workspaces.owner import account_of

MAX_BYTES = 1024 * 1024  # of one file that is written, and of one piece that is read
STOPPED_BYTES = 64 * 1024 * 1024  # of an archive of a stopped workspace: a whole file, or a directory with all in it
FILE_MODE, PROGRAM_MODE = 0o644, 0o755
_KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerPath:
    """A checked path: `rest` is relative to `root`, "" for the root itself."""

    root: str
    rest: str

    @property
    def whole(self) -> str:
        """As a process inside would write it."""
        return posixpath.join(self.root, self.rest) if self.rest else self.root


def inner_path(path: str) -> InnerPath:
    """Where a caller's path is: relative to /workspace, or absolute below /workspace or /configs.

    Raises:
        InvalidArgumentError
    """
    root, rest = WORKDIR, path
    if path.startswith("/"):
        plain = path.rstrip("/")
        found = next((each for each in (WORKDIR, CONFIGS) if plain == each or plain.startswith(f"{each}/")), None)
        if found is None:
            raise InvalidArgumentError(
                f"path {path[:80]!r} is outside of the workspace: give one relative to {WORKDIR}, or below {CONFIGS}"
            )
        root, rest = found, plain[len(found) :].lstrip("/")
    rest = rest.rstrip("/")
    if rest in ("", "."):
        return InnerPath(root=root, rest="")
    check_path(rest, most_parts=64)
    return InnerPath(root=root, rest=rest)


class RunningFiles:
    """The files of a workspace that runs."""

    def __init__(self, client: ExecdClient) -> None:
        self._client = client

    async def read(self, path: InnerPath, offset: int, limit: int) -> FileSlice:
        """Bytes of a regular file from `offset` on, at most `limit`."""
        found = await files.read_file(self._client, path.root, path.rest, offset=offset, limit=limit)
        return FileSlice(path=path.whole, content=found.content, offset=offset, size=found.status.size)

    async def write(self, path: InnerPath, content: bytes, *, is_executable: bool) -> FileSlice:
        """Put a whole file there; the one before it is there whole until then."""
        mode = PROGRAM_MODE if is_executable else FILE_MODE
        await files.write_file(self._client, path.root, path.rest, content, mode=mode, makes_directories=True)
        return FileSlice(path=path.whole, content=b"", offset=0, size=len(content))

    async def list(self, path: InnerPath, limit: int) -> DirectoryListing:
        """The names in a directory, sorted."""
        found = await files.list_directory(self._client, path.root, path.rest, limit=limit)
        entries = tuple(FileEntryInfo(name=each.name, kind=each.kind, size=each.size) for each in found.entries)
        return DirectoryListing(path=path.whole, entries=entries, total=found.total)


class StoppedFiles:
    """The files of a workspace whose container does not run, whose lock the caller holds.

    They are reached through a container that never runs and has nothing but them: a link that leads out leads nowhere.
    """

    def __init__(self, engine: Engine, place: PlaceId, container: Container) -> None:
        self._engine = engine
        self._place = place
        self._container = container

    async def read(self, path: InnerPath, offset: int, limit: int) -> FileSlice:
        """Bytes of a regular file from `offset` on, at most `limit`."""
        with tarfile.open(fileobj=io.BytesIO(await self._archive(path))) as tar:
            member = next(iter(tar), None)
            file = tar.extractfile(member) if member is not None and member.isreg() else None
            if member is None or file is None:
                kind = _KINDS.get(member.type, "special file") if member is not None else "special file"
                raise InvalidArgumentError(f"{path.whole!r} is a {kind}; give the path of a file")
            file.seek(offset)
            return FileSlice(path=path.whole, content=file.read(limit), offset=offset, size=member.size)

    async def write(self, path: InnerPath, content: bytes, *, is_executable: bool) -> FileSlice:
        """Put a whole file there.

        Raises:
            ForbiddenError: the workspace has it read-only.
        """
        # Podman would write there all the same.
        if any(mount.target == path.root and _is_read_only(mount) for mount in self._container.mounts):
            raise ForbiddenError(f"{path.root} is read-only in this workspace; ask for access 'read_write' first")
        entry = FileEntry(path=path.rest, content=content, is_executable=is_executable)
        account = await account_of(self._engine, self._container.id, self._container.user)
        archive = archive_of([entry], uid=account.uid, gid=account.gid, has_directories=False)
        async with self._reached() as through:
            await self._engine.put_archive(through, path.root, archive)
        return FileSlice(path=path.whole, content=b"", offset=0, size=len(content))

    async def list(self, path: InnerPath, limit: int) -> DirectoryListing:
        """The names in a directory, sorted."""
        found: dict[str, FileEntryInfo] = {}
        with tarfile.open(fileobj=io.BytesIO(await self._archive(path))) as tar:
            for member in tar:
                name = name_below(member.name)
                if name and "/" not in name:
                    kind = _KINDS.get(member.type, "other")
                    found[name] = FileEntryInfo(name=name, kind=kind, size=member.size)
        entries = tuple(found[name] for name in sorted(found)[:limit])
        return DirectoryListing(path=path.whole, entries=entries, total=len(found))

    async def _archive(self, path: InnerPath) -> bytes:
        try:
            async with self._reached() as through:
                return await self._engine.get_archive(through, path.whole, STOPPED_BYTES)
        except EngineNotFoundError as error:
            raise InvalidArgumentError(f"there is no {path.whole!r} in the workspace; list its directory") from error

    @asynccontextmanager
    async def _reached(self) -> AsyncGenerator[ContainerId]:
        mounts = tuple(mount for mount in self._container.mounts if mount.target in (WORKDIR, CONFIGS))
        if not any(mount.target == WORKDIR for mount in mounts):
            yield self._container.id  # /workspace is in its own layer
            return
        async with open_unstarted(self._engine, reader_name(self._place), mounts) as through:
            yield through


def _is_read_only(mount: Mount) -> bool:
    return not isinstance(mount, TmpfsMount) and mount.is_read_only


def check_writable(path: InnerPath) -> None:
    """That a caller may write there.

    Raises:
        ForbiddenError, InvalidArgumentError
    """
    if path.root == CONFIGS:
        raise ForbiddenError(f"{CONFIGS} is written by provision_workspace only (its `files`); write below {WORKDIR}")
    if not path.rest:
        raise InvalidArgumentError(f"{WORKDIR} is a directory; give the path of a file in it")
