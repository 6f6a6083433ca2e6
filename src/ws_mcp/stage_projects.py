"""The dev containers that the demo makes: what there is of them on the engine, and the clearing away."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ws_mcp.core.devcontainers.sightings import FOLDER
from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineNotFoundError


class Projects:
    """The dev containers of all folders below `directory`, also those that were made while nobody looked."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory
        # Builders of old leave the container of a step that failed; by this it is told from everybody else's.
        self.no_program = f"no-such-program-{directory.parent.name.rpartition('-')[2]}"
        self._images: dict[str, None] = {}  # in order: a later one may be built on an earlier one

    async def note_images(self) -> None:
        """Remember what their containers were made from: it has no name any more once another one was built.

        Raises:
            EngineError
        """
        for container in await self._containers():
            self._images[(await self._engine.inspect(container.id)).image_id] = None

    async def clear(self) -> list[str]:
        """Remove containers and images; returns what went wrong. One failure does not keep the rest."""
        problems: list[str] = []
        try:
            named = await self._named()
            await self.note_images()
            for container in (*await self._containers(), *await self._left_by_builds()):
                await self._engine.remove(container.id)
        except EngineError as error:
            return [str(error)]
        for image in (*named, *reversed(self._images)):
            try:
                await self._engine.remove_image(image)
            except EngineError as error:
                problems.append(str(error))
        return problems

    async def _containers(self) -> list[Container]:
        found = await self._engine.list_containers({FOLDER: ""})
        return [c for c in found if Path(c.labels[FOLDER]).is_relative_to(self._directory)]

    async def _left_by_builds(self) -> list[Container]:
        unlabelled = [c for c in await self._engine.list_containers({}) if not c.labels]
        return [c for c in unlabelled if any(self.no_program in part for part in await self._command(c))]

    async def _command(self, container: Container) -> tuple[str, ...]:
        try:
            return (await self._engine.inspect(container.id)).command
        except EngineNotFoundError:
            return ()  # somebody else's, which went meanwhile

    async def _named(self) -> list[str]:
        """The images that the CLI named after one of the folders. Source: the CLI, `getFolderImageName`."""
        folders = [folder for folder in self._directory.glob("*") if folder.is_dir()]
        names = tuple(f"vsc-{f.name.lower()}-{hashlib.sha256(str(f).encode()).hexdigest()}" for f in folders)
        return [tag for image in await self._engine.list_images() for tag in image.tags if tag.startswith(names)]
