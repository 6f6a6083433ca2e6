"""What the operator allows, held against one dev container at each step of its making.

The rules are in `policy`; here is when each is asked, and that looking up paths holds up nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from ws_mcp.core.devcontainers.allowances import Allowances, Violation, refusal_of
from ws_mcp.core.devcontainers.merged import Cleared, check_container, clear
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.mount_rules import TEXT, Paths
from ws_mcp.core.devcontainers.policy import check_definition, check_image, check_merged
from ws_mcp.core.devcontainers.port import Definition
from ws_mcp.core.engine.model import Container, Volume, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.record import Record as Members
from ws_mcp.core.errors import EngineNotFoundError, ImageNotFoundError
from ws_mcp.core.host.closed import closed_places, given_at, is_closed

T = TypeVar("T")

MERGED, WORKSPACE, MOUNT = "mergedConfiguration", "workspace", "workspaceMount"


class Policing:
    """Raises ForbiddenError, with all that is not allowed at once.

    `own`: the files of ws-mcp, which nobody gets; None: paths are what their text says, and the disk is not asked.
    """

    def __init__(self, engine: Engine, allowances: Allowances, own: Sequence[Path] | None = None) -> None:
        self._engine = engine
        self._own = own
        self.allowances = allowances

    def within(self, roots: Iterable[str]) -> Policing:
        """The same for who may have, of the operator's roots, only what is below these."""
        return Policing(self._engine, replace(self.allowances, within=tuple(roots)), self._own)

    async def check_definition(self, name: str, definition: Definition) -> None:
        """Before anything of it is run."""
        key, allowed, properties = definition.key, self.allowances, definition.properties
        await self._refuse(name, lambda paths: check_definition(key, properties, allowed, paths))

    async def check_merged(
        self, name: str, definition: Definition, answer: Mapping[str, object], images: Iterable[str]
    ) -> None:
        """With what features and images add, before `up`. An image that is not there yet is looked at in its container.

        `answer`: as the CLI gave it; `images`: what it is built on.
        """
        key, allowed = definition.key, self.allowances
        told = Members(dict(answer))
        merged, mount = told.record(MERGED).members(), told.record(WORKSPACE).text(MOUNT)
        labels: list[Mapping[str, str]] = []
        for image in images:
            try:
                labels.append((await self._engine.image(image)).labels)
            except ImageNotFoundError:
                continue
        await self._refuse(
            name,
            lambda paths: (
                *check_merged(key, merged, allowed, paths, mount),
                *(found for each in labels for found in check_image(key, each, allowed, paths)),
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
        return await self._asked(lambda paths: check_container(container, key, self.allowances, paths, volumes))

    async def clear(self, container: Container, record: Record) -> Cleared:
        """Proof that execd may be brought into an inspected container."""
        volumes = await self._volumes_of(container)
        return await self._asked(lambda paths: clear(container, record, self.allowances, paths, volumes))

    async def _volumes_of(self, container: Container) -> tuple[Volume, ...]:
        found: list[Volume] = []
        for mount in container.mounts:
            if isinstance(mount, VolumeMount):
                try:
                    found.append(await self._engine.inspect_volume(mount.volume))
                except EngineNotFoundError:
                    continue  # it went with its container
        return tuple(found)

    async def _refuse(self, name: str, check: Callable[[Paths], tuple[Violation, ...]]) -> None:
        violations = await self._asked(check)
        if violations:
            raise refusal_of(name, violations)

    async def _asked(self, check: Callable[[Paths], T]) -> T:
        if self._own is None:
            return check(TEXT)
        places = closed_places(self._own, (await self._engine.info()).endpoint)
        # Each path is followed once: what is compared later is what was checked.
        paths = Paths(real=cache(_real), is_closed=partial(is_closed, places=places), given=given_at)
        return await anyio.to_thread.run_sync(check, paths)


def _real(path: str) -> str:
    return os.path.realpath(path)
