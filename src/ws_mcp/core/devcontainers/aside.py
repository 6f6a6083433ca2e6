"""The old container of a swap: away while the new one is made, gone when that runs, back as it was when it does not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.kept import Kept
from ws_mcp.core.devcontainers.model import DevContainer, Key, Status
from ws_mcp.core.devcontainers.port import Aside, CliResult
from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, WsError
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.stores.lock import Lock

log = logging.getLogger(__name__)

SETTLE_S = 15.0
SUFFIX = "-wsmcp-old"  # a server that dies in the middle leaves it under this name, ended and listed as a second one


async def drop_left(ground: Ground, kept: Kept, key: Key) -> None:
    """Remove old containers that a server left which died in the middle of a swap; only where another one runs."""
    there = kept.containers_of(key)
    left = [each for each in there if each.name.endswith(SUFFIX) and each.state is not ContainerState.RUNNING]
    if any(each.state is ContainerState.RUNNING for each in there):
        for each in left:
            await ground.engine.remove(each.id)
            kept.look_soon()


async def unfreeze(engine: Engine, found: DevContainer) -> None:
    """Let a paused one go on: the CLI cannot work on it as it is."""
    if found.status is Status.PAUSED and found.container is not None:
        try:
            await engine.unpause(found.container)
        except (EngineNotFoundError, EngineConflictError):
            return  # it is gone or stopped by now, which the CLI can work on


class OldContainer:
    """One container that is to be replaced. `aside`: what the CLI is told of it."""

    def __init__(self, ground: Ground, kept: Kept, key: Key, old: Container, lock: Lock) -> None:
        self._lock = lock
        self._ground = ground
        self._kept = kept
        self._key = key
        self._old = old
        self._before = {each.id for each in kept.containers_of(key)}
        self._name = old.name.removesuffix(SUFFIX)
        self.aside = Aside(container=old.id, name=f"{self._name}{SUFFIX}")

    async def replaced(self, swap: Callable[[], Awaitable[CliResult]]) -> CliResult:
        """Do the swap, and see to the old container whatever comes of it."""
        try:
            result = await swap()
        except WsError:
            await self._settle()
            raise
        except anyio.get_cancelled_exc_class():
            with self._lock.shield(SETTLE_S):
                await self._settle()
            raise
        await self._settle()
        return result

    async def _settle(self) -> None:
        try:
            await self._kept.at(self._key)
            there = self._kept.containers_of(self._key)
            new = [each for each in there if each.id not in self._before]
            if any(each.state is ContainerState.RUNNING for each in new):
                await self._ground.engine.remove(self._old.id)
            else:
                await self._put_back([each.id for each in new])
        except WsError as failure:
            log.warning("the container that %s replaces cannot be seen to now: %s", self._key.folder, failure)
        self._kept.look_soon()

    async def _put_back(self, failed: list[ContainerId]) -> None:
        for each in failed:
            await self._ground.engine.remove(each)
        try:
            await self._ground.engine.rename(self._old.id, self._name)
        except EngineConflictError:
            log.info("container %s keeps its name", self._old.id[:12])  # it has it, or somebody else took it
        if self._old.state is ContainerState.RUNNING:
            await self._ground.engine.start(self._old.id)
