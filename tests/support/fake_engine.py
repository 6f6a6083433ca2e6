"""A container engine in memory: the same Protocol, the same answers, virtual time; passes the contract of the door.

A test says what a command in a container does (`on_exec`), what a container's own command does (`on_start`), which call
fails (`fail_next`) or hangs (`hang_next`), and when the engine is down (`go_down`, `come_back`). It runs no tasks.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from support.fake_container import FakeContainer
from support.fake_files import inner_path
from support.fake_objects import FakeObjects
from support.fake_world import check_platform, digest
from ws_mcp.core.engine.body import container_body
from ws_mcp.core.engine.model import (
    Container,
    ContainerSpec,
    ContainerState,
    EngineEvent,
    EngineInfo,
    ExecSpec,
    VolumeMount,
)
from ws_mcp.core.engine.names import checked_archive, checked_id, checked_name, checked_path, checked_platform
from ws_mcp.core.engine.sdk import carries
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineNotFoundError
from ws_mcp.core.ids import ContainerId

FIRST_PID = 1000


class FakeEngine(FakeObjects):
    """See `ws_mcp.core.engine.port.Engine`."""

    async def info(self) -> EngineInfo:
        async with self._called("info"):
            return self.about

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
        checked_platform(spec.platform)
        container_body(spec, is_podman=False)
        async with self._called("create"):
            if spec.runtime not in ("", "runc"):
                raise EngineError(f"could not create container {spec.name!r}: unknown runtime {spec.runtime}")
            image = self._image(spec.image)
            check_platform(spec.image, image.image, spec.platform)
            self._check_free(spec.name)
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
            if found.is_alive:
                return
            if found.spec.network not in ("", "none", "host", *self.networks):
                raise EngineNotFoundError(f"could not start container: network {found.spec.network} not found")
            if not found.argv():
                raise EngineError("could not start container: no command specified")
            number = next(self._numbers)
            found.state, found.started_at, found.exit_code = ContainerState.RUNNING, self._now(number), None
            found.host_ports = {p.container_port: p.host_port or 32768 + number for p in found.spec.published}
            self._tell("container", "start", found.id, found.spec.labels)
            found.pid, found.is_oom_killed = FIRST_PID + number, False
            found.log += self.on_log(found.argv())
            exit_code = self.on_start(found.argv())
            if exit_code is not None:
                await self._end(found, exit_code)

    async def stop(self, container: ContainerId, grace_s: float) -> None:
        async with self._called("stop"):
            found = self._container(container)
            if found.is_alive:
                await self._end(found, 137)

    async def pause(self, container: ContainerId) -> None:
        async with self._called("pause"):
            self._turn(container, "pause", ContainerState.PAUSED)

    async def unpause(self, container: ContainerId) -> None:
        async with self._called("unpause"):
            self._turn(container, "unpause", ContainerState.RUNNING)

    async def rename(self, container: ContainerId, name: str) -> None:
        checked_name("container", name)
        async with self._called("rename"):
            found = self._container(container)
            self._check_free(name)
            found.spec = replace(found.spec, name=name)
            self._tell("container", "rename", found.id, found.spec.labels)

    async def logs(self, container: ContainerId, lines: int, limit_bytes: int) -> str:
        async with self._called("logs"):
            written = b"".join(self._container(container).log.splitlines(keepends=True)[-lines:])
            return written[-limit_bytes:].decode(errors="replace")

    async def remove(self, container: ContainerId) -> None:
        checked_id(container)
        async with self._called("remove"):
            found = self.containers.get(container)
            if found is None:
                return
            if found.is_alive:
                await self._end(found, 137)
            self.containers.pop(container, None)
            self._tell("container", "destroy", container, found.spec.labels)

    @asynccontextmanager
    async def open_exec(self, container: ContainerId, spec: ExecSpec) -> AsyncGenerator[ByteStream]:
        if spec.cwd:
            checked_path(spec.cwd)
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

    @asynccontextmanager
    async def open_events(self) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        async with self._called("open_events"):
            watcher, events = anyio.create_memory_object_stream[EngineEvent](math.inf)
            self._watchers.append(watcher)
        with watcher, events:
            try:
                yield aiter(events)
            finally:
                self._watchers.remove(watcher)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()

    def _check_free(self, name: str) -> None:
        if any(found.spec.name == name for found in self.containers.values()):
            raise EngineConflictError(f"could not name a container {name!r}: the name is already in use")

    def _turn(self, container: ContainerId, action: str, state: ContainerState) -> None:
        found = self._container(container)
        if not found.is_alive:
            raise EngineConflictError(f"could not {action} container {container[:12]!r}: it is not running")
        if found.state is not state:
            found.state = state
            self._tell("container", action, found.id, found.spec.labels)
