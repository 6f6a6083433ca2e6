"""File trees of the fake engine: what archives put into them and take out of them."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, directory or link; paths of a tree are relative, "" is its top."""

    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: bytes = b""
    target: str = ""


DIRECTORY = Entry(kind=tarfile.DIRTYPE, mode=0o755)


class FileTree:
    """The files of an image, a container's own layer, or a volume."""

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self.entries: dict[str, Entry] = {"": DIRECTORY, **(entries or {})}

    def copy(self) -> FileTree:
        """Another tree with the same files."""
        return FileTree(self.entries)

    def below(self, path: str) -> dict[str, Entry]:
        """The entry at `path` (as "") and everything below it; empty if there is none."""
        inside = f"{path}/" if path else ""
        found = {name[len(inside) :]: entry for name, entry in self.entries.items() if name.startswith(inside) and name}
        return {"": self.entries[path], **found} if path in self.entries else {}

    def has_directory(self, path: str) -> bool:
        """Whether `path` is a directory."""
        return path in self.entries and self.entries[path].kind == tarfile.DIRTYPE

    def add(self, path: str, entry: Entry) -> None:
        """Put one entry there, with the directories above it."""
        above = posixpath.dirname(path)
        if path and above not in self.entries:
            self.add(above, DIRECTORY)
        self.entries[path] = entry

    def pack(self, path: str) -> bytes:
        """The entry at `path` and everything below it, as an archive that begins with its last name."""
        buffer = io.BytesIO()
        top = posixpath.basename(path) or "."
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, entry in sorted(self.below(path).items()):
                member = tarfile.TarInfo(f"{top}/{name}" if name else top)
                member.type, member.mode, member.uid, member.gid = entry.kind, entry.mode, entry.uid, entry.gid
                member.size, member.linkname = len(entry.content), entry.target
                archive.addfile(member, io.BytesIO(entry.content))
        return buffer.getvalue()


def entries_of(base: str, tar: bytes) -> dict[str, Entry]:
    """What an archive puts below `base`, by path; the entry of `base` itself is skipped, as engines do."""
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            found[inner_path(posixpath.join("/", base, member.name))] = Entry(
                kind=member.type,
                mode=member.mode,
                uid=member.uid,
                gid=member.gid,
                content=content.read() if content else b"",
                target=member.linkname,
            )
    found.pop(base, None)
    return found


def inner_path(path: str) -> str:
    """An absolute path as a tree has it: normalised, relative to the top."""
    return posixpath.normpath(path).strip("/")
