"""The registry that the fake engine pulls from."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio
import anyio.lowlevel

from ws_mcp.core.engine.model import Image
from ws_mcp.core.errors import ImageNotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """An image as the registry has it."""

    image: Image
    tar: bytes
    platforms: tuple[str, ...]


class FakeHeld:
    """See `support.registry.Held`."""

    def __init__(self) -> None:
        self.waiting = anyio.Event()
        self.gone = anyio.Event()

    async def asked(self) -> None:
        await self.waiting.wait()

    async def left(self) -> None:
        await self.gone.wait()


class FakeRegistry:
    """See `support.registry.Registry`."""

    host = "127.0.0.1:5000"

    def __init__(self) -> None:
        self._images: dict[str, Remote] = {}
        self._held: FakeHeld | None = None

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
    def hold(self) -> Generator[FakeHeld]:
        """Deliver nothing inside the block."""
        self._held = FakeHeld()
        yield self._held
        self._held = None

    def find(self, image: str, platform: str) -> Remote:
        """What it has under a name, for a platform.

        Raises:
            ImageNotFoundError
        """
        remote = self._images.get(image)
        if remote is None:
            raise ImageNotFoundError(f"could not pull image {image!r}: the registry has none")
        if platform not in remote.platforms:
            raise ImageNotFoundError(f"could not pull image {image!r}: the registry has it, but not for {platform}")
        return replace(remote, image=replace(remote.image, architecture=platform.partition("/")[2]))

    async def deliver(self) -> None:
        """Wait for what was asked for; a registry that holds it never delivers."""
        held = self._held
        if held is None:
            await anyio.lowlevel.checkpoint()
            return
        held.waiting.set()
        try:
            await anyio.sleep_forever()
        finally:
            held.gone.set()
