"""Memory of processes, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def memory_of(pid: int, field: str = "VmRSS") -> int:
    """A field of /proc/PID/status, such as VmRSS or VmHWM, in bytes."""
    return field_of(Path(f"/proc/{pid}/status").read_text(), field)


def field_of(status: str, field: str) -> int:
    """A field of the text of /proc/PID/status, in bytes."""
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    """Let VmHWM of a process count from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
