"""The engine door's images: looked at, pulled, imported, removed."""

from __future__ import annotations

from contextlib import suppress

from ws_mcp.core.engine import answers
from ws_mcp.core.engine.calls import EngineCalls
from ws_mcp.core.engine.faults import Call, image_missing
from ws_mcp.core.engine.model import Image
from ws_mcp.core.engine.names import checked_image, checked_platform, repository_and_tag
from ws_mcp.core.engine.port import Report
from ws_mcp.core.engine.pull import pull
from ws_mcp.core.engine.record import Record, listed_of
from ws_mcp.core.engine.sdk import import_image
from ws_mcp.core.errors import EngineNotFoundError, ImageNotFoundError


class EngineImages(EngineCalls):
    """See `port.Engine`."""

    async def image(self, name: str) -> Image:
        checked_image(name)
        try:
            found = await self._look(Call.IMAGE, name, lambda sdk: sdk.inspect_image(name))
        except ImageNotFoundError as error:
            raise await self._image_missing(name) from error
        return answers.image_of(Record(found))

    async def list_images(self) -> tuple[Image, ...]:
        """See `Engine`. The list has no configurations, architectures and systems."""
        found = await self._look(Call.LIST, "", lambda sdk: listed_of(sdk.images()))
        return tuple(image for each in found if (image := answers.image_of(each)).tags)

    async def import_image(self, tar: bytes, name: str) -> None:
        repository, tag = repository_and_tag(checked_image(name))
        is_podman = (await self._target()).is_podman
        await self._act(Call.IMPORT, name, lambda sdk: import_image(sdk, tar, repository, tag, is_podman=is_podman))

    async def pull(self, image: str, platform: str, report: Report) -> None:
        checked_image(image)
        checked_platform(platform)
        target = await self._target()
        login, deadline_s = await self._login(image), self._deadlines.pull_s
        await pull(target, image, report, platform=platform, login=login, deadline_s=deadline_s)
        if platform and not is_for(await self.image(image), platform):
            raise ImageNotFoundError(f"could not pull image {image!r}: the registry has it, but not for {platform}")

    async def remove_image(self, name: str) -> None:
        checked_image(name)
        with suppress(EngineNotFoundError):
            await self._act(Call.REMOVE_IMAGE, name, lambda sdk: sdk.remove_image(name))

    async def _image_missing(self, image: str, platform: str = "") -> ImageNotFoundError:
        is_podman = (await self._target()).is_podman
        tags = [tag for found in await self.list_images() for tag in found.tags]
        return image_missing(image, tags, is_podman=is_podman, platform=platform)


def is_for(image: Image, platform: str) -> bool:
    """Whether an image is for a platform; variants (arm64/v8) are not told apart."""
    return platform.split("/")[:2] == [image.os, image.architecture]
