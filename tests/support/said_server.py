"""Servers as children, without an engine, and what they say of themselves on stderr."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from support.forked import forked_argv
from support.peers import MODULE, project_of, server_argv, server_environment


def argv_of(tmp_path: Path, *flags: str, transport: str = "http") -> tuple[str, ...]:
    """The command of a server whose state is in a directory; over HTTP at a free port."""
    port = ("--port", "0") if transport == "http" else ()
    return (*server_argv(transport, tmp_path / "s", "--engine", "none"), *port, *flags)


class Child:
    """A server, and what it says of itself."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said = ""

    def line(self, pattern: str) -> str:
        """What it says next that is like this."""
        assert self.process.stderr is not None
        while line := self.process.stderr.readline().decode():
            self.said += line
            if found := re.search(pattern, line):
                return found[0]
        raise AssertionError(f"it ended without {pattern!r}: {self.said}")


@contextmanager
def serving(tmp_path: Path, *flags: str, transport: str = "http") -> Generator[Child]:
    """One that runs as long as the block does."""
    process = subprocess.Popen(
        forked_argv(tmp_path / "pid", *argv_of(tmp_path, *flags, transport=transport)[MODULE:]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=server_environment(),
        cwd=project_of(tmp_path / "s"),
    )
    try:
        yield Child(process)
    finally:
        process.kill()
        process.communicate()
