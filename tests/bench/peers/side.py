"""What a side of the comparison is: how its server is started, and how it is told to start, read, end and list."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.raw_client import Answer, Era, RawClient

# What a server needs of this environment; the rest could change what is measured.
_KEPT = ("PATH", "LANG", "TERM", "TMPDIR", "DOCKER_HOST", "DOCKER_CONTEXT", "PYTHONPATH")


class UnknownProcessError(Exception):
    """The server does not know this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What reading the output of a process gave. `size`: of the whole answer, in characters.

    `exit_code`: what the same answer says of the process's end, if it does.
    """

    text: str
    size: int
    exit_code: int | None = None


class Side(Protocol):
    """One server. `home`: a directory of its own, in which it may keep what it likes; a restart gets the same one."""

    @property
    def name(self) -> str: ...

    @property
    def era(self) -> Era: ...

    def argv(self, home: Path) -> tuple[str, ...]:
        """How it is started."""
        ...

    def environment(self, home: Path) -> Mapping[str, str]:
        """More variables."""
        ...

    def connect(self, client: RawClient) -> None:
        """Say hello."""
        ...

    def prepare(self, client: RawClient) -> None:
        """Make what processes are started in, or find it again."""
        ...

    def start(self, client: RawClient, line: str) -> str:
        """Start a line of shell in the background; returns what the server calls it."""
        ...

    def read(self, client: RawClient, process: str) -> Seen:
        """Read as a model would, without special wishes.

        Raises:
            UnknownProcessError
        """
        ...

    def exit_code(self, client: RawClient, process: str) -> int | None:
        """How a process ended; None: it does not say."""
        ...

    def end(self, client: RawClient, process: str) -> None:
        """Stop it, whatever it is."""
        ...

    def list(self, client: RawClient) -> str | None:
        """The list of processes as it came; None: there is none."""
        ...

    def clear(self, client: RawClient) -> None:
        """Remove what `prepare` made."""
        ...


class McpSide:
    """What all that speak MCP share."""

    era: Era = "legacy"

    def environment(self, home: Path) -> Mapping[str, str]:
        return {}

    def connect(self, client: RawClient) -> None:
        client.connect()

    def prepare(self, client: RawClient) -> None:
        return

    def clear(self, client: RawClient) -> None:
        return


def environment_of(side: Side, home: Path) -> dict[str, str]:
    """All variables that its server gets."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    return {**kept, "HOME": str(home), **side.environment(home)}


def known(answer: Answer) -> Answer:
    """The answer of a call that names a process.

    Raises:
        UnknownProcessError: the server refused it.
    """
    if answer.is_error:
        raise UnknownProcessError(answer.text)
    return answer


def size_of(answer: Answer) -> int:
    """Characters of an answer: its text only, since the structured part repeats it for most."""
    return len(answer.text)
