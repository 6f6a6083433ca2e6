"""The fake engine's images, volumes and networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace

from support.fake_container import FakeImage
from support.fake_world import FakeWorld, digest
from ws_mcp.core.engine.model import Image, Network, Volume
from ws_mcp.core.engine.names import checked_image, checked_name, checked_platform, checked_subnet
from ws_mcp.core.engine.port import Report
from ws_mcp.core.engine.sdk import carries
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, SubnetTakenError


class FakeObjects(FakeWorld):
    """See `ws_mcp.core.engine.port.Engine`."""

    async def image(self, name: str) -> Image:
        checked_image(name)
        async with self._called("image"):
            return self._image(name).image

    async def list_images(self) -> tuple[Image, ...]:
        async with self._called("list_images"):
            return tuple(
                Image(id=i.image.id, tags=i.image.tags, architecture="", digests=i.image.digests)
                for i in self.images.values()
                if i.image.tags
            )

    async def import_image(self, tar: bytes, name: str) -> None:
        checked_image(name)
        async with self._called("import_image"):
            self.add_image(Image(id=f"sha256:{digest(name)}", tags=(name,), architecture="amd64", os="linux"), tar)

    async def pull(self, image: str, platform: str, report: Report) -> None:
        checked_image(image)
        checked_platform(platform)
        async with self._called("pull"):
            await report("asking the registry", 0.0)
            is_digest = "@" in image
            name = image if is_digest or ":" in image.rpartition("/")[2] else f"{image}:latest"
            remote = self.registry.find(name, platform or "linux/amd64")
            await report("downloading", 0.5)
            await self.registry.deliver()
            self._take_tag(name)
            self.add_image(replace(remote.image, tags=() if is_digest else (name,)), remote.tar)
            await report("pulled", 1.0)

    async def remove_image(self, name: str) -> None:
        checked_image(name)
        async with self._called("remove_image"):
            if any(name == found.spec.image for found in self.containers.values()):
                raise EngineConflictError(f"could not remove image {name!r}: a container uses it")
            for found in [key for key, image in self.images.items() if name in (key, image.image.id)]:
                del self.images[found]

    async def create_volume(self, name: str, labels: Mapping[str, str]) -> Volume:
        checked_name("volume", name)
        async with self._called("create_volume"):
            return self._volume(name, labels).volume

    async def inspect_volume(self, name: str) -> Volume:
        checked_name("volume", name)
        async with self._called("inspect_volume"):
            if name not in self.volumes:
                raise EngineNotFoundError(f"could not look at volume {name!r}: no such volume")
            return self.volumes[name].volume

    async def list_volumes(self, labels: Mapping[str, str]) -> tuple[Volume, ...]:
        async with self._called("list_volumes"):
            return tuple(v.volume for v in self.volumes.values() if carries(v.volume.labels, labels))

    async def remove_volume(self, name: str) -> None:
        checked_name("volume", name)
        async with self._called("remove_volume"):
            if any(name in found.volume_names() for found in self.containers.values()):
                raise EngineConflictError(f"could not remove volume {name!r}: volume is in use")
            if self.volumes.pop(name, None):
                self._tell("volume", "destroy", name, {})

    async def volume_usage(self) -> Mapping[str, int]:
        async with self._called("volume_usage"):
            return {
                name: sum(len(entry.content) for entry in found.files.entries.values())
                for name, found in self.volumes.items()
            }

    async def create_network(
        self, name: str, labels: Mapping[str, str], *, is_internal: bool, subnet: str = ""
    ) -> None:
        checked_name("network", name)
        wanted = checked_subnet(subnet)
        async with self._called("create_network"):
            if name in self.networks:
                raise EngineConflictError(f"could not create network {name!r}: it already exists")
            subnets = (wanted or self._free_subnet(),)
            if any(ipaddress.ip_network(wanted).overlaps(ipaddress.ip_network(s)) for s in self._subnets() if wanted):
                raise SubnetTakenError(f"could not create network {name!r}: {subnet} overlaps with another one")
            self.networks[name] = Network(
                name=name, labels=dict(labels), driver="bridge", subnets=subnets, is_internal=is_internal, containers=0
            )
            self._tell("network", "create", digest(name), {})

    async def inspect_network(self, name: str) -> Network:
        checked_name("network", name)
        async with self._called("inspect_network"):
            if name not in self.networks:
                raise EngineNotFoundError(f"could not look at network {name!r}: no such network")
            return replace(self.networks[name], containers=self._joined(name))

    async def remove_network(self, name: str) -> None:
        checked_name("network", name)
        async with self._called("remove_network"):
            if self._joined(name):
                raise EngineConflictError(f"could not remove network {name!r}: containers still use it")
            if self.networks.pop(name, None) is not None:
                self._tell("network", "destroy", digest(name), {})

    async def list_networks(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        async with self._called("list_networks"):
            return tuple(found for found in self.networks.values() if carries(found.labels, labels))

    def _joined(self, name: str) -> int:
        return sum(found.is_alive and found.spec.network == name for found in self.containers.values())

    def _subnets(self) -> list[str]:
        return [subnet for network in self.networks.values() for subnet in network.subnets]

    def _free_subnet(self) -> str:
        taken = self._subnets()
        free = (f"172.{17 + n}.0.0/16" for n in range(self.network_pool))
        found = next((subnet for subnet in free if subnet not in taken), None)
        if found is None:
            raise SubnetTakenError("could not create network: no subnet is left among the engine's own")
        return found

    def _take_tag(self, tag: str) -> None:
        # Whoever had it keeps its id.
        former = self.images.pop(tag, None)
        if former is not None:
            self.images[former.image.id] = FakeImage(image=replace(former.image, tags=()), files=former.files)
