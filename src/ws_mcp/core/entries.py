"""Files on their way into a workspace, as values, and how many of them there may be (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A regular file: its path is relative to where it is put, with `/` between the parts."""

    path: str
    content: bytes = field(repr=False)  # may be a secret
    is_executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLimits:
    """How much a tree of files may be; all of it is held in memory, twice while it is sent."""

    files: int  # also bounds the directories
    file_bytes: int
    total_bytes: int


CONFIG_LIMITS = TreeLimits(files=256, file_bytes=MIB, total_bytes=8 * MIB)
HOME_LIMITS = TreeLimits(files=2000, file_bytes=16 * MIB, total_bytes=64 * MIB)
