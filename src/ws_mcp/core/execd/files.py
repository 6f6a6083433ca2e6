"""Files of a place, asked of its execd.

A file is named by a root directory and a path below it that no link leads out of. Replies come from a place that its
own processes may rule: what is not as it should be is an `ExecdUnavailableError`.

Every function may also raise OlderExecdError and ExecdUnavailableError.

Source: execd/PROTOCOL.md, section "Files".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.failures import failure_of
from ws_mcp.core.execd.protocol import ExecdProtocolError, Header, Reply, children, integer, text

MAX_FILE_BYTES = 1 << 20  # of one read or write
MAX_ENTRIES = 10_000  # of one listing
FILE_S = 30.0  # a file request may wait 10 s for its turn, then for a disk


class FileKind(StrEnum):
    """What a name of a directory stands for."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    PIPE = "pipe"
    SOCKET = "socket"
    DEVICE = "device"
    OTHER = "other"


_KINDS = {kind.value: kind for kind in FileKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """A file or directory. `device` and `inode` are those of stat(2)."""

    kind: FileKind
    size: int
    mode: int
    uid: int
    gid: int
    modified_at: datetime
    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """A part of a file, and what the file was when it was read."""

    status: FileStatus
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name in a directory; a link is not followed."""

    name: str
    kind: FileKind
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The first entries of a directory by name, and how many it has."""

    entries: tuple[Entry, ...]
    total: int


async def stat(client: ExecdClient, root: str, path: str) -> FileStatus:
    """What is there, links followed. The path "" is the root itself.

    Raises:
        NoFileError, FileRefusedError
    """
    return await client.ask("stat", {"root": root, "path": path}, lambda reply: _status(reply.header), timeout_s=FILE_S)


async def read_file(
    client: ExecdClient, root: str, path: str, *, offset: int = 0, limit: int = MAX_FILE_BYTES
) -> FileContent:
    """At most `limit` bytes from `offset`; nothing at the end. Files that have no size, as in /proc, come in parts.

    Raises:
        NoFileError, FileRefusedError
        InvalidArgumentError: `offset` is negative, or `limit` not 1 to `MAX_FILE_BYTES`.
    """

    def take(reply: Reply) -> FileContent:
        if len(reply.body) > limit:
            raise ExecdProtocolError("bad_message", "more of a file than was asked for")
        return FileContent(status=_status(reply.header), content=reply.body)

    fields = {"root": root, "path": path, "offset": offset, "limit": limit}
    return await client.ask("read_file", fields, take, timeout_s=FILE_S)


async def write_file(
    client: ExecdClient,
    root: str,
    path: str,
    content: bytes,
    *,
    mode: int | None = None,
    makes_directories: bool = False,
) -> None:
    """Replace a whole file at once. Without `mode` it keeps its own, and a new one gets 0o644.

    Safe to repeat: the file is the same afterwards.

    Raises:
        NoFileError: the directory is missing.
        FileRefusedError
        InvalidArgumentError: `mode` is not 0 to 0o777.
    """
    if len(content) > MAX_FILE_BYTES:
        raise failure_of("too_large", f"the content has {len(content)} bytes; at most {MAX_FILE_BYTES} can be written")
    fields: dict[str, object] = {"root": root, "path": path, "makes_directories": makes_directories}
    if mode is not None:
        fields["mode"] = mode
    await client.ask("write_file", fields, lambda reply: integer(reply.header, "size"), content, timeout_s=FILE_S)


async def list_directory(client: ExecdClient, root: str, path: str, *, limit: int = 1000) -> Directory:
    """The first `limit` entries in the order of their names' bytes; fewer where names are very long.

    Raises:
        NoFileError, FileRefusedError
        InvalidArgumentError: `limit` is not 1 to `MAX_ENTRIES`.
    """

    def take(reply: Reply) -> Directory:
        entries = tuple(map(_entry, children(reply.header, "entries")))
        total = integer(reply.header, "total")
        if len(entries) > min(limit, total):
            raise ExecdProtocolError("bad_message", "more entries than were asked for or are there")
        return Directory(entries=entries, total=total)

    return await client.ask("list_directory", {"root": root, "path": path, "limit": limit}, take, timeout_s=FILE_S)


def _status(header: Header) -> FileStatus:
    return FileStatus(
        kind=_kind(header),
        size=integer(header, "size"),
        mode=integer(header, "mode"),
        uid=integer(header, "uid"),
        gid=integer(header, "gid"),
        modified_at=_moment(header),
        device=_unsigned(header, "device"),
        inode=_unsigned(header, "inode"),
    )


def _entry(header: Header) -> Entry:
    name = text(header, "name")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ExecdProtocolError("bad_message", "a name that is none")
    return Entry(name=name, kind=_kind(header), size=integer(header, "size"), modified_at=_moment(header))


def _kind(header: Header) -> FileKind:
    return _KINDS.get(text(header, "kind"), FileKind.OTHER)


def _unsigned(header: Header, name: str) -> int:
    # Beyond what `integer` takes: some file systems use all 64 bits.
    value = header.get(name)
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ExecdProtocolError("bad_message", f"field {name!r} is missing or of another kind")
    return value


def _moment(header: Header) -> datetime:
    try:
        return datetime.fromtimestamp(integer(header, "mtime_ms") / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC)  # a file may claim any time, which makes its place no worse
