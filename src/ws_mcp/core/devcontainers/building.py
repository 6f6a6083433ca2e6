"""Builds the image of a dev container while its old container runs on, from what was checked and nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.moorings import Moorings
from ws_mcp.core.devcontainers.policy import checked_copy
from ws_mcp.core.devcontainers.port import CliCall, CliResult, Definition, Outcome, Tell
from ws_mcp.core.devcontainers.recreate_plan import anchored, is_same_files
from ws_mcp.core.devcontainers.relay import Relay
from ws_mcp.core.devcontainers.swap import DevContainerFailedError
from ws_mcp.core.devcontainers.watchdog import is_reading_stalled
from ws_mcp.core.errors import ConflictError

BUILDS = 3  # of one recreate, when its files change while it is built


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """The build of one definition; `moored`: its paths from before it was checked. The old container is not touched."""

    ground: Ground
    name: str
    definition: Definition
    moored: Moorings

    async def run(self, call: CliCall, relay: Relay) -> None:
        """Build from files that are the same at its end.

        Raises:
            DevContainerFailedError: with the last lines.
            ConflictError: what was built is not what was checked.
        """
        async with self._copy() as copy:
            call = replace(call, content=copy)
            for _ in range(BUILDS):
                if await self._built(call, relay):
                    return
                await relay.say("its files were changed while it was built: building again")
                call = replace(call, no_cache=False)
        raise ConflictError(
            f"the files of dev container {self.name!r} were changed in each of its {BUILDS} builds; "
            "its container was not touched: call recreate_devcontainer when nothing writes them"
        )

    @asynccontextmanager
    async def _copy(self) -> AsyncGenerator[Path | None]:
        """What is built from: nobody else can write it. None: only the definition itself can be built."""
        properties = anchored(self.definition)
        if properties is None:
            yield None
            return
        async with self.ground.copies(checked_copy(properties)) as copy:
            yield copy

    async def _built(self, call: CliCall, relay: Relay) -> bool:
        """Build once; whether nothing was changed meanwhile, not even there and back."""
        key = self.definition.key
        before = await self._moored()
        built_from = await self.ground.definitions.fingerprint(key)
        result = await relay.run(lambda tell: self._run(call, tell), _nothing)
        if result.outcome is not Outcome.SUCCESS:
            failure = DevContainerFailedError(self.name, result, "its container was not touched")
            await self.ground.records.set_error(key, str(failure))
            raise failure
        now = await self.ground.definitions.read(key)
        if now.text != self.definition.text:
            raise ConflictError(
                f"the definition of dev container {self.name!r} was changed while it was built; its "
                "container was not touched: call recreate_devcontainer again"
            )
        is_same = await self._moored() == before
        return is_same and is_same_files(built_from, await self.ground.definitions.fingerprint(key))

    async def _moored(self) -> Moorings:
        now = await self.ground.moored(self.definition)
        if moved := self.moored.moved(now):
            raise ConflictError(
                f"{', '.join(moved)} of dev container {self.name!r} was replaced by something else after it was "
                "checked; its container was not touched: see who did that, then call recreate_devcontainer again"
            )
        return now

    async def _run(self, call: CliCall, tell: Tell) -> CliResult:
        return await self.ground.cli.run(call, tell, is_reading_stalled)


async def _nothing() -> None: ...
