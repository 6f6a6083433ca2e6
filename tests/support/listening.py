"""Ports of the loopback for programs that tests start, and waiting until one listens there."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

START_S = 60.0


def free_port() -> int:
    """A port of the loopback that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_listens(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a program takes connections; `log` is shown when it ends before."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert child.poll() is None, f"it ended with code {child.returncode}: {log.read_text()[-2000:]}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listened within {START_S} s: {log.read_text()[-2000:]}")
