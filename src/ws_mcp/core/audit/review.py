"""Reads audit files: which there are, what they say, and whether any line is missing or was touched."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import cast

from ws_mcp.core.audit.chain import Entry, Finding, entry_of, examined
from ws_mcp.core.audit.file import DIRECTORY, SUFFIX


class Worth(StrEnum):
    """What a file proves."""

    WHOLE = "whole"
    OPEN = "open"  # its server still writes
    CUT = "without an end"  # its server was killed, or lines at the end were removed: nothing tells
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A file and what it proves; `why`: for a person."""

    file: str
    lines: int
    worth: Worth
    why: str = ""


def files_of(state: Path) -> list[Path]:
    """The audit files of a state directory, oldest first."""
    return paths_in(state / DIRECTORY)


def paths_in(directory: Path) -> list[Path]:
    """The audit files in their directory, oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def follows(file: Path) -> str:
    """The file that this one says it follows, or ""."""
    first = next(entries_of(file), None)
    after = first.fields.get("after") if first is not None else None
    return str(cast("dict[str, object]", after).get("file")) if isinstance(after, dict) else ""


def lines_of(file: Path) -> Iterator[bytes]:
    """The lines of a file, with their ends, without the room that its server had made for more."""
    with file.open("rb") as lines:
        yield from (line for line in lines if line.strip(b"\0"))


def entries_of(file: Path) -> Iterator[Entry]:
    """What can be read of a file, whether or not it is whole."""
    for line in lines_of(file):
        if (entry := entry_of(line)) is not None:
            yield entry


def reviewed(files: list[Path], key: bytes) -> list[Review]:
    """Look at all files, each with the one that it follows.

    Files that were removed are missed by their followers, unless a line somewhere says so, and how they ended.
    """
    live = {file.name for file in files if is_written(file)}
    found = {file.name: _examined(file, key) for file in files}
    gone = {(each.get("file"), each.get("lines"), each.get("hash")) for one in found.values() for each in one.removed}
    followed = {_after(finding)["file"]: _after(finding) for finding in found.values() if _after(finding)}
    return [
        _review(name, finding, _gap_before(finding, found, gone), followed.get(name), is_live=name in live)
        for name, finding in found.items()
    ]


def _review(name: str, finding: Finding, gap: str, follower: dict[str, object] | None, *, is_live: bool) -> Review:
    worth, why = Worth.WHOLE, ""
    damage = finding.damage or gap or _gap_after(finding, follower)
    if damage:
        worth, why = Worth.DAMAGED, damage
    elif follower is None and not finding.is_ended:
        worth, why = Worth.CUT, "its server was killed, or lines were removed at its end"
        if is_live:
            worth, why = Worth.OPEN, "its server is running"
    return Review(file=name, lines=finding.lines, worth=worth, why=why)


def _gap_before(finding: Finding, found: dict[str, Finding], gone: set[tuple[object, object, object]]) -> str:
    after = _after(finding)
    if finding.first is not None and finding.first.get("kind") != "open":
        return "line 1 is not the first one that was written"
    is_there = not after or str(after["file"]) in found
    if is_there or (after.get("file"), after.get("lines"), after.get("hash")) in gone:
        return ""
    return f"line 1 follows {after['file']}, which is missing"


def _gap_after(finding: Finding, follower: dict[str, object] | None) -> str:
    seal = finding.last.seal if finding.last else ""
    if follower is None or (follower.get("lines"), follower.get("hash")) == (finding.lines, seal):
        return ""
    return f"lines after line {finding.lines} are missing: there were {follower.get('lines')}"


def _examined(file: Path, key: bytes) -> Finding:
    return examined(key, lines_of(file))


def _after(finding: Finding) -> dict[str, object]:
    after = (finding.first or {}).get("after")
    return cast("dict[str, object]", after) if isinstance(after, dict) else {}


def is_written(file: Path) -> bool:
    """Whether its server still writes it."""
    with file.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
