"""What the reconciler and its acts stand on, beside the doors of `port.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ws_mcp.core.clock import Now
from ws_mcp.core.devcontainers.model import Key, Record, Verdict
from ws_mcp.core.devcontainers.port import Definition, Definitions, DevcontainerCli, Fingerprint, Inside
from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.ids import ContainerId, PlaceId

STALL_S = 30.0  # of silence while the container runs already: `up` has missed its start and would wait for ever


class Locks(Protocol):
    """Locks by name, against every server of this instance; `State` has them."""

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold it, waiting for who does."""
        ...

    def lock_if_free(self, name: str) -> AbstractContextManager[bool]:
        """Hold it if nobody does; says whether it is held now."""
        ...


class Records(Protocol):
    """What is kept of containers by their id, and of keys by theirs.

    Raises:
        StateError
    """

    async def all(self) -> Mapping[ContainerId, Record]:
        """Every record."""
        ...

    async def keep(self, record: Record) -> None:
        """Keep it in place of what is kept of this container."""
        ...

    async def forget(self, containers: Collection[ContainerId]) -> None:
        """Of containers that are gone."""
        ...

    async def errors(self) -> Mapping[Key, str]:
        """What the last attempt for each key failed with."""
        ...

    async def set_error(self, key: Key, text: str) -> None:
        """Keep it; "" = it went well."""
        ...


class Policy(Protocol):
    """What the operator does not allow, as sentences; none = allowed."""

    def of_definition(self, definition: Definition) -> Sequence[str]:
        """Before anything is run."""
        ...

    def of_merged(self, definition: Definition, merged: Mapping[str, object]) -> Sequence[str]:
        """With what the image adds, before `up`."""
        ...

    def of_container(self, container: Container, definition: Definition | None) -> Sequence[str]:
        """Of what was made."""
        ...


Weigh = Callable[[Fingerprint, Record | None, Container, Definition], Verdict]
"""Whether a container is what its definition would make now; pure."""
Baseline = Callable[[Fingerprint, Fingerprint, Fingerprint], Mapping[str, str]]
"""The inputs of what was made, from those before, at the build, and after."""
Links = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]
"""Where paths of labels really lead; those without a link in them may be left out."""
Copies = Callable[[str], AbstractAsyncContextManager[Path]]
"""A file of ours alone with this text, for as long as the block lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """All that is given. `mounts`: in the form of `--mount`, what every dev container gets; `drop`: a place is gone."""

    engine: Engine
    cli: DevcontainerCli
    definitions: Definitions
    inside: Inside
    records: Records
    locks: Locks
    policy: Policy
    weigh: Weigh
    baseline: Baseline
    copies: Copies
    links: Links
    mounts: Callable[[], Awaitable[tuple[str, ...]]]
    drop: Callable[[PlaceId], Awaitable[None]]
    now: Now
    roots: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])  # only dev containers that carry all of them
    stall_s: float = STALL_S
