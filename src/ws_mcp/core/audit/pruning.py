"""Removes the oldest audit files when there is more than the operator keeps, so that what is left can still be checked.

Which ones go is written down first, each with its last seal: whoever verifies knows then why a file is missing that
another one follows. A file that a server still writes stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.audit.chain import Fields, removals_in
from ws_mcp.core.audit.review import entries_of, follows, is_written, paths_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What is to go, and the line that says it; nothing where `files` is empty."""

    files: tuple[Path, ...]
    line: Fields


def plan_pruning(directory: Path, keep_bytes: int) -> Pruning:
    """Oldest first, until at most `keep_bytes` are left.

    Raises:
        OSError
    """
    found = sorted((file.stat().st_mtime_ns, file, file.stat().st_size) for file in paths_in(directory))
    over = sum(size for _, _, size in found) - keep_bytes
    going: list[Path] = []
    for _, file, size in found:
        if over <= 0:
            break
        if not is_written(file):
            going.append(file)
            over -= size
    needed = {follows(file) for _, file, _ in found if file not in going} if going else set[str]()
    told = [each for file in going for each in _told(file, needed)]
    return Pruning(files=tuple(going), line={"kind": "removed", "files": told})


def prune(pruning: Pruning) -> None:
    """Do it; to be called when the line is on the disk.

    Raises:
        OSError
    """
    for file in pruning.files:
        file.unlink(missing_ok=True)


def _told(file: Path, needed: set[str]) -> Iterable[Mapping[str, object]]:
    """What is said of a file that goes, and what it said of others that went before and are still followed."""
    lines, seal = 0, ""
    for entry in entries_of(file):
        lines, seal = lines + 1, entry.seal
        yield from (each for each in removals_in(entry.fields) if each.get("file") in needed)
    yield {"file": file.name, "lines": lines, "hash": seal}
