"""Where servers come from that need not load what they are made of: one `servers_ahead.py` for each test process."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

AHEAD, LAUNCH = (Path(__file__).with_name(name) for name in ("servers_ahead.py", "launch.py"))


def forked_argv(pid_file: Path, *argv: str) -> Sequence[str]:
    """A command that is a server with these arguments, forked of what is loaded already; its pid goes into a file."""
    return (sys.executable, "-I", "-S", str(LAUNCH), _socket(), str(pid_file), *argv)


@functools.cache
def _socket() -> str:
    """Where to ask; the program behind it ends with this one, however that ends: its stdin is ours."""
    directory = tempfile.mkdtemp(prefix="wsmcp-ahead-")
    path = f"{directory}/socket"
    program = subprocess.Popen(
        (sys.executable, str(AHEAD), path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(program.wait)
    atexit.register(program.stdin.close)
    return path
