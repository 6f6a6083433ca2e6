"""The registry that the fake engine pulls from."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio

from ws_mcp.core.engine.model import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """An image as the registry has it."""

    image: Image
    tar: bytes
    platforms: tuple[str, ...]


class FakeRegistry:
    """See `support.registry.Registry`."""

    host = "127.0.0.1:5000"

    def __init__(self) -> None:
        self._images: dict[str, Remote] = {}
        self._asked: anyio.Event | None = None  # while it holds what it has: somebody waits for it

    def publish(self, name: str, tar: bytes, platforms: tuple[str, ...] = ("linux/amd64",)) -> str:
        """Put an image under a name, whatever had it before; returns its digest."""
        digest = f"sha256:{hashlib.sha256(tar).hexdigest()}"
        repository = f"{self.host}/{name.rpartition(':')[0]}"
        image = Image(
            id=f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}",
            tags=(),
            architecture=platforms[0].partition("/")[2],
            os="linux",
            digests=(f"{repository}@{digest}",),
        )
        remote = Remote(image=image, tar=tar, platforms=platforms)
        self._images[f"{self.host}/{name}"] = self._images[f"{repository}@{digest}"] = remote
        return digest

    @contextmanager
    def hold(self) -> Generator[Callable[[], Awaitable[None]]]:
        """Deliver nothing inside the block; yields what waits until somebody asks for something."""
        asked = self._asked = anyio.Event()
        yield asked.wait
        self._asked = None

    def find(self, image: str, platform: str) -> Remote | None:
        """What it has under a name, for a platform."""
        remote = self._images.get(image)
        if remote is None or platform not in remote.platforms:
            return None
        return replace(remote, image=replace(remote.image, architecture=platform.partition("/")[2]))

    async def deliver(self) -> None:
        """Wait for what was asked for; a registry that holds it never delivers."""
        if self._asked is not None:
            self._asked.set()
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
