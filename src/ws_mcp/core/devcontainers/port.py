"""What the reconciler is given: the dev container CLI behind a door, and who reads definitions.

The CLI is `@devcontainers/cli`; the fake of the tests and the real adapter (`cli.py`) pass one contract suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ws_mcp.core.devcontainers.model import Hook, Key, Phase
from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import ContainerId


class CliMissingError(WsError):
    """There is no dev container CLI here, or it is too old; the message says how to get it."""


class Verb(StrEnum):
    """What the CLI is told to do."""

    BUILD = "build"
    UP = "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class CliCall:
    """One run of the CLI for a dev container.

    `content`: a file whose text is used in place of the definition at `key.config`, which still names it (the checked
    copy). `mounts`: in the strict form of `--mount`. `is_expecting`: only a container that exists (`up`).
    """

    verb: Verb
    key: Key
    content: Path | None = None
    removes_existing: bool = False
    is_expecting: bool = False
    no_cache: bool = False
    mounts: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class CliProgress:
    """How far it is. `is_reading_files`: from now on the CLI and the engine read the files of the definition."""

    phase: Phase
    detail: str = ""  # one line: a step of a build, a line of a hook
    fraction: float = 0.0  # of all phases, 0 to 1, never falling
    is_reading_files: bool = False


Tell = Callable[[CliProgress], None]
"""Told at once of each progress; must not wait."""


class Outcome(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    ERROR = "error"
    STALLED = "stalled"  # it said nothing for too long and was ended


@dataclass(frozen=True, slots=True, kw_only=True)
class CliResult:
    """What a run came to. `reason`: one line for a model; `tail`: the last meaningful lines, at most 40."""

    outcome: Outcome
    reason: str = ""
    tail: tuple[str, ...] = ()
    container: ContainerId | None = None  # also of an `up` whose hook failed
    user: str = ""
    path: str = ""
    project: str = ""
    hooks: tuple[Hook, ...] = ()
    warnings: tuple[str, ...] = ()
    merged: Mapping[str, object] | None = None


class DevcontainerCli(Protocol):
    """The CLI. A cancelled call has ended the whole process group before it returns."""

    async def version(self) -> str:
        """Its version.

        Raises:
            CliMissingError
        """
        ...

    async def run(self, call: CliCall, tell: Tell, is_stalled: Callable[[Phase, float], bool]) -> CliResult:
        """Run it to the end. `is_stalled` is asked every second with the phase and the seconds of silence.

        Raises:
            CliMissingError
        """
        ...

    async def configuration(self, key: Key, content: Path | None) -> Mapping[str, object]:
        """What `read-configuration --include-merged-configuration` says: `configuration`, `mergedConfiguration`, ...

        Raises:
            CliMissingError
            InvalidArgumentError: the CLI cannot read it; the message says why.
        """
        ...
