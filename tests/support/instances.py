"""An instance of ws-mcp for one test: a state directory, servers on it, and what it has on the engine."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp.client.extension import ClientExtension

from support.docker_cli import containers_of, docker, networks_of, remove_instance, volumes_of
from support.images import BUSYBOX
from support.peers import Peer, open_peer
from ws_mcp.core.state import open_state

IMAGE = BUSYBOX


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A state directory, the id that its objects on the engine carry, and where that engine is ("": the usual one)."""

    id: str
    state: Path
    address: str = ""

    def open_peer(
        self,
        *flags: str,
        mode: str = "auto",
        environment: Mapping[str, str] | None = None,
        extensions: Sequence[ClientExtension] = (),
        is_fresh: bool = False,
    ) -> AbstractAsyncContextManager[Peer]:
        """A stdio server on it, whose workspaces are of the test image unless they name one, and a client."""
        engine = ("--engine", self.address) if self.address else ()
        argv = ("--image", IMAGE, *engine, *flags)
        return open_peer(
            self.state, *argv, mode=mode, environment=environment, extensions=extensions, is_fresh=is_fresh
        )

    def docker(self, *arguments: str) -> str:
        """Do something to its engine behind the server's back."""
        return docker(*arguments, address=self.address)

    @property
    def is_podman(self) -> bool:
        """Whether its engine is Podman."""
        return bool(self.address)

    @property
    def containers(self) -> list[str]:
        """Its containers on the engine, running or not."""
        return containers_of(self.id, self.address)

    @property
    def container(self) -> str:
        """Its only container."""
        (only,) = self.containers
        return only

    @property
    def volumes(self) -> list[str]:
        """Its volumes on the engine."""
        return volumes_of(self.id, self.address)

    @property
    def networks(self) -> list[str]:
        """Its networks on the engine."""
        return networks_of(self.id, self.address)


async def make_instance(directory: Path, address: str = "") -> Instance:
    """A state directory inside `directory`."""
    await anyio.Path(directory).mkdir(exist_ok=True)
    async with open_state(directory / "state") as state:
        return Instance(id=state.instance.id, state=directory / "state", address=address)


@contextmanager
def open_instance(directory: Path, address: str = "") -> Generator[Instance]:
    """An instance that is gone from the engine at the end."""
    # In a thread: an event loop that tests share may be there already.
    with ThreadPoolExecutor(1) as threads:
        made = threads.submit(anyio.run, make_instance, directory, address).result()
    try:
        yield made
    finally:
        remove_instance(made.id, address)
