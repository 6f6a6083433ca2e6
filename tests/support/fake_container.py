"""A container of the fake engine: its files, its state, and how it looks from outside."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import anyio
from anyio.abc import ByteStream

from support.fake_files import DIRECTORY, Entry, FileTree, entries_of, inner_path
from ws_mcp.core.engine.model import (
    Container,
    ContainerSpec,
    ContainerState,
    Image,
    Published,
    TmpfsMount,
    Volume,
    VolumeMount,
)
from ws_mcp.core.errors import EngineError, EngineNotFoundError
from ws_mcp.core.ids import ContainerId


@dataclass(kw_only=True)
class FakeImage:
    """An image and its files."""

    image: Image
    files: FileTree


@dataclass(kw_only=True)
class FakeVolume:
    """A volume and its files."""

    volume: Volume
    files: FileTree


class CutStream(ByteStream):
    """A stream that ends when its container does."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._is_cut = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            return await self._stream.receive(max_bytes)
        except anyio.ClosedResourceError:
            if self._is_cut:
                raise anyio.EndOfStream from None
            raise

    async def send(self, item: bytes) -> None:
        if self._is_cut:
            raise anyio.BrokenResourceError
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def cut(self) -> None:
        """End it from the far side."""
        self._is_cut = True
        await self._stream.aclose()


@dataclass(kw_only=True)
class FakeContainer:
    """What the engine keeps of a container."""

    id: ContainerId
    spec: ContainerSpec
    image: Image
    files: FileTree
    volumes: dict[str, FileTree]  # by inner path of the mount
    created_at: datetime
    state: ContainerState = ContainerState.CREATED
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    pid: int = 0
    is_oom_killed: bool = False
    log: bytes = b""
    host_ports: dict[int, int] = field(default_factory=dict[int, int])
    streams: list[CutStream] = field(default_factory=list[CutStream])

    @property
    def is_running(self) -> bool:
        return self.state is ContainerState.RUNNING

    @property
    def is_alive(self) -> bool:
        return self.state in (ContainerState.RUNNING, ContainerState.PAUSED)

    def argv(self) -> tuple[str, ...]:
        """What it runs, put together from the request and the image as an engine does."""
        return (*self._entrypoint(), *self._command())

    def inspected(self) -> Container:
        """As "inspect" shows it."""
        spec = self.spec
        return replace(
            self.listed(),
            started_at=self.started_at,
            finished_at=self.finished_at,
            exit_code=self.exit_code,
            published=self._published(),
            entrypoint=self._entrypoint(),
            command=self._command(),
            user=spec.user or self.image.user,
            working_dir=spec.working_dir or self.image.working_dir or "/",
            environment={**self.image.environment, **spec.environment},
            networks=() if spec.network == "none" else (spec.network,),
            network_aliases=tuple(sorted(spec.network_aliases)),
            limits=replace(spec.limits, shm_bytes=spec.limits.shm_bytes or 64 << 20),
            is_privileged=spec.is_privileged,
            is_read_only=spec.is_read_only,
            cap_add=tuple(sorted(spec.cap_add)),
            cap_drop=tuple(sorted(spec.cap_drop)),
            security_options=tuple(sorted(option.removesuffix(":true") for option in spec.security_options)),
            log_max_bytes=spec.log_max_bytes,
            pid=self.pid,
            pid_mode=spec.pid_mode,
            restart=spec.restart,
            runtime=spec.runtime or "runc",
            is_oom_killed=self.is_oom_killed,
            mounts=spec.mounts,
        )

    def listed(self) -> Container:
        """As a listing shows it."""
        return Container(
            id=self.id,
            name=self.spec.name,
            image=self.spec.image,
            image_id=self.image.id,
            state=self.state,
            labels=dict(self.spec.labels),
            created_at=self.created_at,
            published=self._published() if self.is_alive else (),
            mounts=tuple(mount for mount in self.spec.mounts if not isinstance(mount, TmpfsMount)),
            network=self.spec.network,
        )

    def volume_names(self) -> set[str]:
        """The volumes that it uses, running or not."""
        return {mount.volume for mount in self.spec.mounts if isinstance(mount, VolumeMount)}

    def attach(self, stream: ByteStream) -> CutStream:
        """A stream that lives no longer than this run of the container."""
        attached = CutStream(stream)
        self.streams.append(attached)
        return attached

    async def cut(self) -> None:
        """End all streams from inside."""
        for stream in tuple(self.streams):
            await stream.cut()

    def put(self, path: str, tar: bytes) -> None:
        """Unpack an archive below `path`, through mounts."""
        inner = inner_path(path)
        if not self.seen().has_directory(inner):
            raise EngineNotFoundError(f"could not put files into container {self.id[:12]}: no directory {path}")
        entries = entries_of(inner, tar)
        for name in entries:
            self._check_writable(name)
        for name, entry in entries.items():
            tree, rest = self._tree_of(name)
            tree.add(rest, entry)

    def get(self, path: str) -> bytes:
        """The archive of `path`, through mounts."""
        seen = self.seen()
        if inner_path(path) not in seen.entries:
            raise EngineNotFoundError(f"could not get files from container {self.id[:12]}: no {path}")
        return seen.pack(inner_path(path))

    def seen(self) -> FileTree:
        """The files as a process in it sees them: mounts hide what is below them."""
        entries: dict[str, Entry] = dict(self.files.entries)
        for target, tree in self.volumes.items():
            entries = {name: entry for name, entry in entries.items() if not f"{name}/".startswith(f"{target}/")}
            entries |= {f"{target}/{name}" if name else target: entry for name, entry in tree.entries.items()}
            above = target.rpartition("/")[0]
            while above and above not in entries:
                entries[above] = DIRECTORY
                above = above.rpartition("/")[0]
        return FileTree(entries)

    def _tree_of(self, inner: str) -> tuple[FileTree, str]:
        for target, tree in self.volumes.items():
            if f"{inner}/".startswith(f"{target}/"):
                return tree, inner[len(target) :].strip("/")
        return self.files, inner

    def _check_writable(self, inner: str) -> None:
        tree, _ = self._tree_of(inner)
        read_only = [m.target for m in self.spec.mounts if isinstance(m, VolumeMount) and m.is_read_only]
        if tree is self.files and self.spec.is_read_only:
            raise EngineError(f"could not put files into container {self.id[:12]}: its root is marked read-only")
        if any(self.volumes[inner_path(target)] is tree for target in read_only):
            raise EngineError(f"could not put files into container {self.id[:12]}: the volume is marked read-only")

    def _published(self) -> tuple[Published, ...]:
        ports = self.spec.published
        return tuple(
            replace(port, host_port=self.host_ports.get(port.container_port, port.host_port)) for port in ports
        )

    def _entrypoint(self) -> tuple[str, ...]:
        return self.image.entrypoint if self.spec.entrypoint is None else self.spec.entrypoint

    def _command(self) -> tuple[str, ...]:
        if self.spec.command or self.spec.entrypoint is not None:
            return self.spec.command or ()
        return self.image.command
