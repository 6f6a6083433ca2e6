"""An instance of ws-mcp for one test: a state directory, servers on it, and what it has on the engine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import anyio

from support.docker_cli import containers_of, volumes_of
from support.images import BUSYBOX
from support.peers import Peer, open_peer
from ws_mcp.core.state import open_state

IMAGE = BUSYBOX


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A state directory and the id that its objects on the engine carry."""

    id: str
    state: Path

    def open_peer(
        self, *flags: str, mode: str = "auto", environment: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Peer]:
        """A stdio server on it, whose workspaces are of the test image unless they name one, and a client."""
        return open_peer(self.state, "--image", IMAGE, *flags, mode=mode, environment=environment)

    @property
    def containers(self) -> list[str]:
        """Its containers on the engine, running or not."""
        return containers_of(self.id)

    @property
    def container(self) -> str:
        """Its only container."""
        (only,) = self.containers
        return only

    @property
    def volumes(self) -> list[str]:
        """Its volumes on the engine."""
        return volumes_of(self.id)


async def make_instance(directory: Path) -> Instance:
    """A state directory inside `directory`."""
    await anyio.Path(directory).mkdir(exist_ok=True)
    async with open_state(directory / "state") as state:
        return Instance(id=state.instance.id, state=directory / "state")
