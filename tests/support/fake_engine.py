"""A container engine in memory: the same Protocol, the same answers, virtual time; passes the contract of the door.

A test says what a command in a container does (`on_exec`), what a container's own command does (`on_start`), which call
fails (`fail_next`) or hangs (`hang_next`), and when the engine is down (`go_down`, `come_back`). It runs no tasks.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from support.fake_container import FakeContainer
from support.fake_files import inner_path
from support.fake_world import INFO, FakeWorld, digest
from ws_mcp.core.engine.body import container_body
from ws_mcp.core.engine.model import (
    Container,
    ContainerSpec,
    ContainerState,
    EngineEvent,
    EngineInfo,
    ExecSpec,
    Image,
    Volume,
    VolumeMount,
)
from ws_mcp.core.engine.names import checked_archive, checked_id, checked_image, checked_name, checked_path
from ws_mcp.core.engine.sdk import carries
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineNotFoundError
from ws_mcp.core.ids import ContainerId


class FakeEngine(FakeWorld):
    """See `ws_mcp.core.engine.port.Engine`."""

    async def info(self) -> EngineInfo:
        async with self._called("info"):
            return INFO

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        async with self._called("list_containers"):
            return tuple(c.listed() for c in self.containers.values() if carries(c.spec.labels, labels))

    async def inspect(self, container: str) -> Container:
        checked_name("container", container)
        async with self._called("inspect"):
            for found in self.containers.values():
                if container in (found.id, found.spec.name):
                    return found.inspected()
            raise EngineNotFoundError(f"could not look at container {container!r}: no such container")

    async def create(self, spec: ContainerSpec) -> ContainerId:
        checked_name("container", spec.name)
        container_body(spec, is_podman=False)
        async with self._called("create"):
            image = self._image(spec.image)
            if any(found.spec.name == spec.name for found in self.containers.values()):
                raise EngineConflictError(f"could not create container {spec.name!r}: the name is already in use")
            number = next(self._numbers)
            made = FakeContainer(
                id=ContainerId(digest(f"{spec.name}:{number}")),
                spec=spec,
                image=image.image,
                files=image.files.copy(),
                volumes={
                    inner_path(m.target): self._mounted(m, image) for m in spec.mounts if isinstance(m, VolumeMount)
                },
                created_at=self._now(number),
            )
            self.containers[made.id] = made
            self._tell("container", "create", made.id, spec.labels)
            return made.id

    async def start(self, container: ContainerId) -> None:
        async with self._called("start"):
            found = self._container(container)
            if found.is_running:
                return
            if found.spec.network not in ("", "none", *self.networks):
                raise EngineNotFoundError(f"could not start container: network {found.spec.network} not found")
            if not found.argv():
                raise EngineError("could not start container: no command specified")
            number = next(self._numbers)
            found.state, found.started_at, found.exit_code = ContainerState.RUNNING, self._now(number), None
            found.host_ports = {p.container_port: p.host_port or 32768 + number for p in found.spec.published}
            self._tell("container", "start", found.id, found.spec.labels)
            exit_code = self.on_start(found.argv())
            if exit_code is not None:
                await self._end(found, exit_code)

    async def stop(self, container: ContainerId, grace_s: float) -> None:
        async with self._called("stop"):
            found = self._container(container)
            if found.is_running:
                await self._end(found, 137)

    async def remove(self, container: ContainerId) -> None:
        checked_id(container)
        async with self._called("remove"):
            found = self.containers.get(container)
            if found is None:
                return
            if found.is_running:
                await self._end(found, 137)
            self.containers.pop(container, None)
            self._tell("container", "destroy", container, found.spec.labels)

    @asynccontextmanager
    async def open_exec(self, container: ContainerId, spec: ExecSpec) -> AsyncGenerator[ByteStream]:
        async with self._called("open_exec"):
            found = self._container(container)
            if not found.is_running:
                raise EngineConflictError(f"could not run a command in container {container[:12]!r}: it is not running")
            stream = found.attach(self.on_exec(found.inspected(), spec))
        try:
            yield stream
        finally:
            found.streams.remove(stream)
            await stream.aclose()

    async def put_archive(self, container: ContainerId, path: str, tar: bytes) -> None:
        checked_path(path)
        checked_archive(tar)
        async with self._called("put_archive"):
            self._container(container).put(path, tar)

    async def get_archive(self, container: ContainerId, path: str, limit_bytes: int) -> bytes:
        checked_path(path)
        async with self._called("get_archive"):
            tar = self._container(container).get(path)
            if len(tar) > limit_bytes:
                raise EngineError(f"{path!r} in container {container[:12]} is larger than {limit_bytes} bytes")
            return tar

    async def image(self, name: str) -> Image:
        checked_image(name)
        async with self._called("image"):
            return self._image(name).image

    async def list_images(self) -> tuple[Image, ...]:
        async with self._called("list_images"):
            return tuple(Image(id=i.image.id, tags=i.image.tags, architecture="") for i in self.images.values())

    async def import_image(self, tar: bytes, name: str) -> None:
        checked_image(name)
        async with self._called("import_image"):
            self.add_image(Image(id=f"sha256:{digest(name)}", tags=(name,), architecture="amd64"), tar)

    async def remove_image(self, name: str) -> None:
        checked_image(name)
        async with self._called("remove_image"):
            if any(name == found.spec.image for found in self.containers.values()):
                raise EngineConflictError(f"could not remove image {name!r}: a container uses it")
            self.images.pop(name, None)

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

    async def create_network(self, name: str, labels: Mapping[str, str], *, is_internal: bool) -> None:
        checked_name("network", name)
        async with self._called("create_network"):
            if name in self.networks:
                raise EngineConflictError(f"could not create network {name!r}: it already exists")
            self.networks[name] = dict(labels)
            self._tell("network", "create", digest(name), {})

    async def remove_network(self, name: str) -> None:
        checked_name("network", name)
        async with self._called("remove_network"):
            if any(found.is_running and found.spec.network == name for found in self.containers.values()):
                raise EngineConflictError(f"could not remove network {name!r}: containers still use it")
            if self.networks.pop(name, None) is not None:
                self._tell("network", "destroy", digest(name), {})

    async def list_networks(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        async with self._called("list_networks"):
            return tuple(name for name, its in self.networks.items() if carries(its, labels))

    @asynccontextmanager
    async def open_events(self) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        async with self._called("open_events"):
            watcher, events = anyio.create_memory_object_stream[EngineEvent](math.inf)
            self._watchers.append(watcher)
        with watcher, events:
            yield aiter(events)
            self._watchers.remove(watcher)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
