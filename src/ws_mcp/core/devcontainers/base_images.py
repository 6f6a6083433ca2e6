"""Definitions whose fingerprints say which images they are built on, as the engine has them now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import Definition, Definitions, Fingerprint
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, InvalidArgumentError

PART = "image/"


class TrackedDefinitions:
    """See `Definitions`. An image that cannot be asked for has no part, and no part says nothing."""

    def __init__(self, definitions: Definitions, engine: Engine) -> None:
        self._definitions = definitions
        self._engine = engine

    async def read(self, key: Key) -> Definition:
        return await self._definitions.read(key)

    async def fingerprint(self, key: Key) -> Fingerprint:
        found = await self._definitions.fingerprint(key)
        parts = dict(found.parts)
        for name in found.images:
            try:
                parts[f"{PART}{name}"] = (await self._engine.image(name)).id
            except (EngineError, InvalidArgumentError):
                continue
        return replace(found, parts=parts)

    async def stamps(self, keys: Sequence[Key]) -> tuple[str, ...]:
        return await self._definitions.stamps(keys)

    async def find(self, folder: str, config: str) -> Key:
        return await self._definitions.find(folder, config)

    async def discover(self) -> tuple[Key, ...]:
        return await self._definitions.discover()

    def silent(self) -> Mapping[str, float]:
        return self._definitions.silent()
