"""The ground for tests with the real dev container CLI: is there one, how it is called, and a clean end."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio

from support.compose import ComposeMissingError, compose_config
from support.devcontainer_images import USERLAND, userland_tar
from support.real_engine import EngineGround, LabelledEngine, import_with_command, one_at_a_time
from ws_mcp.core.devcontainers.cli import RealDevcontainerCli
from ws_mcp.core.devcontainers.cli_found import OWN, FoundCli, find_cli

FOLDER = "devcontainer.local_folder"


def cli_missing() -> str:
    """Why the tests of the real CLI cannot run here; "" when they can."""
    if shutil.which("devcontainer") is None and not OWN.exists():
        return "there is no dev container CLI: make devcontainers"
    return "" if shutil.which("node") and shutil.which("docker") else "Node and Docker's command line are not installed"


def image_of(folder: Path) -> str:
    """The name that the CLI gives to the image of a folder."""
    return f"vsc-{folder.name.lower()}-{hashlib.sha256(str(folder).encode()).hexdigest()}"


class DevcontainerGround:
    """The CLI of one test session, on the session's engine."""

    def __init__(self, engine: EngineGround) -> None:
        self.engine = engine
        self._folders: list[Path] = []
        self._compose: str | None = None
        self._found: FoundCli | None = None

    def own(self, folder: Path) -> None:
        """Remove at the end what is made for the dev containers of `folder`."""
        self._folders.append(folder)
        self.engine.own({FOLDER: str(folder)})

    def own_labels(self, labels: Mapping[str, str]) -> None:
        """Remove at the end what carries `labels`: siblings of compose do not name their folder."""
        self.engine.own(labels)

    def cli(self, engine: LabelledEngine, environment: Mapping[str, str] | None = None) -> RealDevcontainerCli:
        """A CLI that reaches the session's engine."""
        cli = RealDevcontainerCli(
            info=engine.info, engine=self.engine.address, environment={**os.environ, **(environment or {})}
        )
        # Looking for it takes as long as a small run of it.
        cli._found = self._found
        return cli

    async def make_userland(self) -> str:
        """The name of an image with more than busybox has, which is there afterwards."""
        async with one_at_a_time(), self.engine.engine() as engine:
            if not any(USERLAND in image.tags for image in await engine.list_images()):
                tar = await anyio.to_thread.run_sync(userland_tar)
                await import_with_command(engine, tar, USERLAND, 'CMD ["/bin/bash"]')
        return USERLAND

    async def look(self) -> None:
        """Find the CLI, once for all tests."""
        self._found = await find_cli("", os.environ)

    def compose(self) -> dict[str, str]:
        """What the environment has to say so that `docker compose` works.

        Raises:
            ComposeMissingError
        """
        if self._compose is None:
            self._compose = compose_config()
        return {"DOCKER_CONFIG": self._compose} if self._compose else {}

    async def clean(self) -> None:
        """Remove the containers and images of all folders."""
        async with self.engine.engine() as engine:
            for folder in self._folders:
                for container in await engine.list_containers({FOLDER: str(folder)}):
                    await engine.remove(container.id)
                for name in (image_of(folder), f"{image_of(folder)}-uid", f"{image_of(folder)}-features"):
                    await engine.remove_image(name)


__all__ = ["ComposeMissingError", "DevcontainerGround", "cli_missing", "image_of"]
