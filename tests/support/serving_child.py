"""A server over a core in memory as a child, reached over HTTP: for what is about sockets and time."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, cast

from support.forked import forked_argv

PROGRAM = Path(__file__).with_name("serve_fake.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingChild:
    """A running server: where it answers, and what it logs. `process` only stands for it; `pid` is the server."""

    process: subprocess.Popen[bytes]
    pid: int
    url: str

    def ended(self) -> str:
        """End it; returns all that it logged."""
        self.process.terminate()
        log = cast("IO[bytes]", self.process.stderr).read().decode()
        self.process.wait(40)
        return log


@contextmanager
def open_child_http(*words: str) -> Generator[ServingChild]:
    """Start one, with the words that `serve_fake.py` takes."""
    with NamedTemporaryFile() as pid_file:
        argv = forked_argv(Path(pid_file.name), "--program", str(PROGRAM), "http", *words)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            url = cast("IO[bytes]", process.stderr).readline().decode().strip()
            assert url, "the server ended at once"
            yield ServingChild(process=process, pid=int(Path(pid_file.name).read_text()), url=url)
        finally:
            process.kill()
            process.wait()
            cast("IO[bytes]", process.stderr).close()
