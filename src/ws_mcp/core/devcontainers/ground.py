"""What the reconciler and its acts stand on, beside the doors of `port.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ws_mcp.core.clock import Now
from ws_mcp.core.devcontainers.hints import Hints, no_hints
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.moorings import Moored, unmoored
from ws_mcp.core.devcontainers.policing import Policing
from ws_mcp.core.devcontainers.port import Definitions, DevcontainerCli, Inside
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.stores.lock import Lock

STALL_S = 30.0  # of silence while the container runs already: `up` has missed its start and would wait for ever


class Locks(Protocol):
    """Locks by name, against every server of this instance; `State` has them."""

    def lock(self, name: str) -> AbstractAsyncContextManager[Lock]:
        """Hold it, waiting for who does."""
        ...

    def lock_if_free(self, name: str) -> AbstractAsyncContextManager[bool]:
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

    async def names(self, keys: Collection[Key]) -> Mapping[Key, str]:
        """A name for each, the same on every server of this instance, and the same tomorrow."""
        ...


Links = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]
"""Where paths of labels really lead; those without a link in them may be left out."""
Running = Callable[[PlaceAddress], Awaitable[int | None]]
"""How many processes run in a place; None: its execd does not answer."""
Copies = Callable[[str], AbstractAsyncContextManager[Path]]
"""A file of ours alone with this text, for as long as the block lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """All that is given. `volume`: the one that execd is in, filled; `drop`: a place is gone."""

    engine: Engine
    cli: DevcontainerCli
    definitions: Definitions
    inside: Inside
    records: Records
    locks: Locks
    policing: Policing
    copies: Copies
    links: Links
    volume: Callable[[], Awaitable[str]]
    drop: Callable[[PlaceId], Awaitable[None]]
    running: Running
    now: Now
    labels: Mapping[str, str] = field(default_factory=dict[str, str])  # only dev containers that carry all of them
    stall_s: float = STALL_S
    hints: Hints = no_hints
    moored: Moored = unmoored

    @property
    def roots(self) -> tuple[str, ...]:
        """Where there may be dev containers; none = they are off."""
        return self.policing.allowances.roots


def lock_of(key: Key) -> str:
    """By folder: all definitions of a folder share the tag of one image."""
    return f"devcontainer-{hashlib.sha256(key.folder.encode(errors='surrogatepass')).hexdigest()[:32]}"
