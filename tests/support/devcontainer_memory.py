"""Records and locks of dev containers in memory. They outlive a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.names import names_of
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.stores.lock import Lock


class MemoryRecords:
    """See `ws_mcp.core.devcontainers.ground.Records`. It outlives a server."""

    def __init__(self) -> None:
        self.records: dict[ContainerId, Record] = {}
        self.given: dict[Key, str] = {}
        self.said: dict[Key, str] = {}
        self.on_write: Callable[[], None] = lambda: None  # before a write, and after it

    async def all(self) -> Mapping[ContainerId, Record]:
        await anyio.lowlevel.checkpoint()
        return dict(self.records)

    async def keep(self, record: Record) -> None:
        await anyio.lowlevel.checkpoint()
        self.on_write()
        self.records[record.container] = record
        self.on_write()

    async def forget(self, containers: Collection[ContainerId]) -> None:
        await anyio.lowlevel.checkpoint()
        for container in containers:
            self.records.pop(container, None)

    async def names(self, keys: Collection[Key]) -> Mapping[Key, str]:
        await anyio.lowlevel.checkpoint()
        self.given = names_of(keys, self.given)
        return self.given

    async def errors(self) -> Mapping[Key, str]:
        await anyio.lowlevel.checkpoint()
        return dict(self.said)

    async def set_error(self, key: Key, text: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.on_write()
        if text:
            self.said[key] = text
        else:
            self.said.pop(key, None)
        self.on_write()


class MemoryLocks:
    """See `ws_mcp.core.devcontainers.ground.Locks`. A server that dies lets go: `held` is emptied by the test."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[Lock]:
        while name in self.held:  # noqa: ASYNC110 - as the real one, which no event can tell
            await anyio.sleep(0.02)
        self.held.add(name)
        try:
            yield Lock(name, None)
        finally:
            self.held.discard(name)

    @asynccontextmanager
    async def lock_if_free(self, name: str) -> AsyncGenerator[bool]:
        is_free = name not in self.held
        self.held.add(name)
        try:
            yield is_free
        finally:
            if is_free:
                self.held.discard(name)
