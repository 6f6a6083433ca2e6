"""What the reconciler is given: the dev container CLI behind a door, and who reads definitions.

The CLI is `@devcontainers/cli`; the fake of the tests and the real adapter (`cli.py`) pass one contract suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ws_mcp.core.devcontainers.merged import Cleared
from ws_mcp.core.devcontainers.model import Hook, Key, Kind, Phase, Record
from ws_mcp.core.errors import InvalidArgumentError, NotFoundError, WsError
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId


class CliMissingError(WsError):
    """There is no dev container CLI here, or it is too old; the message says how to get it."""


class Verb(StrEnum):
    """What the CLI is told to do."""

    BUILD = "build"
    UP = "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A container that makes way for a new one: it is stopped and called `name` where the CLI would remove it."""

    container: ContainerId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CliCall:
    """One run of the CLI for a dev container.

    `content`: a file whose text is used in place of the definition at `key.config`, which still names it (the checked
    copy). `build` has no such option: its copy is the definition, with absolute paths. `mounts`: in the strict form of
    `--mount`. `is_expecting`: only a container that exists (`up`). `aside`: what `removes_existing` would remove,
    kept; not of compose. `lock`: the descriptor by which the folder is held, and which it holds, too, so that nobody
    begins beside it when this server is killed.
    """

    verb: Verb
    key: Key
    content: Path | None = None
    removes_existing: bool = False
    aside: Aside | None = None
    is_expecting: bool = False
    no_cache: bool = False
    mounts: tuple[str, ...] = ()
    lock: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class CliProgress:
    """How far it is. `is_reading_files`: from now on the CLI and the engine read the files of the definition.

    `lines`: what it said since it was told of last, for a reader; they make it no other progress.
    """

    phase: Phase
    detail: str = ""  # one line: a step of a build, a line of a hook
    fraction: float = 0.0  # of all phases, 0 to 1, never falling
    is_reading_files: bool = False
    lines: tuple[str, ...] = field(default=(), compare=False)


Tell = Callable[[CliProgress], None]
"""Told at once of each progress, and of each line; must not wait."""


class Outcome(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    ERROR = "error"
    STALLED = "stalled"  # it said nothing for too long and was ended
    EARLY = "early"  # it wanted to run something in a container that the engine had not quite started


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A devcontainer.json as read, strictly: `properties` with old names mapped to new ones, unsubstituted."""

    key: Key
    kind: Kind
    text: str
    properties: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The inputs of a dev container: part (`dockerfile/<path>`) to digest. `untracked`: too large to be read.

    `images`: what it is built on, as far as its files say that. `newest`: the file that was changed last.
    """

    parts: Mapping[str, str]
    untracked: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    newest: str = ""
    newest_at: datetime | None = None


class DefinitionMissingError(NotFoundError):
    """The folder or the definition is gone."""

    def __init__(self, name: str) -> None:
        WsError.__init__(
            self, f"the dev container definition {name!r} does not exist; make it, or name another folder or config"
        )
        self.kind = "dev container definition"
        self.name = name


class UnreadableDefinitionError(InvalidArgumentError):
    """A definition, or a file that it names, cannot be read just now; says file, line and column."""


class SilentDefinitionError(UnreadableDefinitionError):
    """The file system that a definition is on does not answer."""

    def __init__(self, where: str, for_s: float) -> None:
        super().__init__(f"{silence_of(where, for_s)}; see that it is mounted and reachable, then try again")


def silence_of(where: str, for_s: float) -> str:
    """A silence in words."""
    return f"the disk of {where} has not answered for {for_s:.0f} s"


class Definitions(Protocol):
    """The definitions on this machine; every call works in a thread, and answers in time.

    Raises:
        DefinitionMissingError, UnreadableDefinitionError
    """

    async def read(self, key: Key) -> Definition:
        """The definition as it is now."""
        ...

    async def fingerprint(self, key: Key) -> Fingerprint:
        """What its container would be made from now. Files that did not change are not read again."""
        ...

    async def stamps(self, keys: Sequence[Key]) -> tuple[str, ...]:
        """For each what changes when an input may have changed: sizes, times and inodes only. Raises nothing."""
        ...

    async def find(self, folder: str, config: str) -> Key:
        """The definition that is meant; without `config` the folder's only one.

        Raises:
            InvalidArgumentError: there are several; says which.
            ForbiddenError: the folder is not below a root of the operator.
        """
        ...

    async def discover(self) -> tuple[Key, ...]:
        """All below the operator's roots, in three places of each folder; what git ignores is left out.

        Below a root that does not answer: those that were there when it did.
        """
        ...

    def silent(self) -> Mapping[str, float]:
        """The roots, without links, whose disk does not answer now, and for how many seconds."""
        ...


class Inside(Protocol):
    """The execd of a dev container."""

    async def arrive(self, cleared: Cleared, record: Record) -> PlaceAddress:
        """Have execd run in a container that was cleared, as its user, brought there if need be; safe to repeat.

        Raises:
            PlaceUnavailableError: it cannot run there; says why.
        """
        ...
