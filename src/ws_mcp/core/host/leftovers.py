"""What an execd of this machine left behind when it was killed: without a sandbox its processes live on.

They carry the mark of their place in their environment. Where there is no /proc, nothing is found.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.ids import PlaceId

MARK = "WSMCP_PROCESS"  # execd gives it to each process, with the place and the process for a value


def kill_left(place: PlaceId) -> bool:
    """Send KILL to all of the place and to what these have started; whether there was anybody."""
    mark = f"{MARK}={place}/".encode()
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    seen = {pid: found for pid in pids if (found := _seen(pid)) is not None}
    parents = {pid: found.parent for pid, found in seen.items()}
    # A server may itself run in a place, as a process of it.
    spared = _with_ancestors(os.getpid(), parents)
    marked = {pid for pid in seen if _holds(pid, mark)}
    doomed = _with_descendants(marked - spared, parents) - spared
    for pid in doomed:
        _kill(pid, seen[pid].birth)
    return bool(doomed)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A process that lives. `birth`: when it began, in ticks since the system did; both name it for ever."""

    parent: int
    birth: str


def _seen(pid: int) -> _Seen | None:
    """None for who is gone, or dead and not yet waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else _Seen(int(fields[1]), fields[19])


def _kill(pid: int, birth: str) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # From here on the number is nobody else's; that it was not before, its birth shows.
        now = _seen(pid)
        if now is not None and now.birth == birth:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return
    finally:
        os.close(descriptor)


def _holds(pid: int, mark: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return any(entry.startswith(mark) for entry in environment.split(b"\0"))


def _with_ancestors(pid: int, parents: Mapping[int, int]) -> set[int]:
    found: set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        pid = parents.get(pid, 0)
    return found


def _with_descendants(pids: set[int], parents: Mapping[int, int]) -> set[int]:
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
