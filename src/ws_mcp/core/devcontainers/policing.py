"""What the operator allows, held against one dev container at each step of its making.

The rules are in `policy`; here is when each is asked, and that looking up paths holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from posixpath import normpath
from typing import TypeVar

import anyio.to_thread

from ws_mcp.core.devcontainers.allowances import Allowances, Violation, refusal_of
from ws_mcp.core.devcontainers.merged import Cleared, check_container, clear
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.mount_rules import RealPath
from ws_mcp.core.devcontainers.policy import check_definition, check_image, check_merged
from ws_mcp.core.devcontainers.port import Definition
from ws_mcp.core.engine.model import Container, Volume, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.record import Record as Members
from ws_mcp.core.errors import EngineNotFoundError, ImageNotFoundError

T = TypeVar("T")

MERGED = "mergedConfiguration"


class Policing:
    """Raises ForbiddenError, with all that is not allowed at once. `real`: where paths lead, which asks the disk."""

    def __init__(self, engine: Engine, allowances: Allowances, real: RealPath | None = None) -> None:
        self._engine = engine
        self._real = real
        self.allowances = allowances

    async def check_definition(self, name: str, definition: Definition) -> None:
        """Before anything of it is run."""
        key, allowed, properties = definition.key, self.allowances, definition.properties
        await self._refuse(name, lambda real: check_definition(key, properties, allowed, real))

    async def check_merged(
        self, name: str, definition: Definition, answer: Mapping[str, object], images: Iterable[str]
    ) -> None:
        """With what features and images add, before `up`. An image that is not there yet is looked at in its container.

        `answer`: as the CLI gave it; `images`: what it is built on.
        """
        key, allowed = definition.key, self.allowances
        merged = Members(dict(answer)).record(MERGED).members()
        labels: list[Mapping[str, str]] = []
        for image in images:
            try:
                labels.append((await self._engine.image(image)).labels)
            except ImageNotFoundError:
                continue
        await self._refuse(
            name,
            lambda real: (
                *check_merged(key, merged, allowed, real),
                *(found for each in labels for found in check_image(key, each, allowed, real)),
            ),
        )

    async def check_unit(self, name: str, key: Key, containers: Iterable[Container]) -> None:
        """Of what is there, before it is started."""
        violations = [each for container in containers for each in await self.violations_of(key, container)]
        if violations:
            raise refusal_of(name, violations)

    async def violations_of(self, key: Key, container: Container) -> tuple[Violation, ...]:
        """Of what was made, inspected."""
        volumes = await self._volumes_of(container)
        return await self._asked(lambda real: check_container(container, key, self.allowances, real, volumes))

    async def clear(self, container: Container, record: Record) -> Cleared:
        """Proof that execd may be brought into an inspected container."""
        volumes = await self._volumes_of(container)
        return await self._asked(lambda real: clear(container, record, self.allowances, real, volumes))

    async def _volumes_of(self, container: Container) -> tuple[Volume, ...]:
        found: list[Volume] = []
        for mount in container.mounts:
            if isinstance(mount, VolumeMount):
                try:
                    found.append(await self._engine.inspect_volume(mount.volume))
                except EngineNotFoundError:
                    continue  # it went with its container
        return tuple(found)

    async def _refuse(self, name: str, check: Callable[[RealPath], tuple[Violation, ...]]) -> None:
        violations = await self._asked(check)
        if violations:
            raise refusal_of(name, violations)

    async def _asked(self, check: Callable[[RealPath], T]) -> T:
        real = self._real
        if real is None:
            return check(normpath)
        return await anyio.to_thread.run_sync(lambda: check(real))
