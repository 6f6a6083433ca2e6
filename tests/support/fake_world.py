"""The world behind the fake engine: its objects, its faults, its events, and what a test says about them."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectSendStream

from support.byte_pipe import echo_end, said_end
from support.fake_container import FakeContainer, FakeImage, FakeVolume
from support.fake_files import FileTree, entries_of, inner_path
from support.fake_registry import FakeRegistry
from ws_mcp.core.engine.faults import image_missing
from ws_mcp.core.engine.model import (
    Container,
    ContainerState,
    EngineEvent,
    EngineInfo,
    ExecSpec,
    Image,
    Network,
    Volume,
    VolumeMount,
)
from ws_mcp.core.engine.names import checked_id
from ws_mcp.core.errors import (
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageNotFoundError,
    WsError,
)
from ws_mcp.core.ids import ContainerId

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE_S = 10.0  # after it a call that hangs becomes an error, as in the door
INFO = EngineInfo(
    engine_id="fake",
    kind="docker",
    version="0",
    api_version="1.44",
    architecture="amd64",
    os="memory",
    storage_driver="dict",
    cgroup_version="2",
    cgroup_driver="none",
    security_options=("name=seccomp,profile=default",),
    is_rootless=False,
    has_live_restore=True,
    endpoint="memory://",
    cpus=2,
    memory_bytes=8 << 30,
    storage_bytes=64 << 30,
    told_at=BEGAN,
)

OnExec = Callable[[Container, ExecSpec], ByteStream]
OnStart = Callable[[tuple[str, ...]], int | None]
OnLog = Callable[[tuple[str, ...]], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one call; without an error it hangs."""

    error: WsError | None
    takes_effect: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a test wants done at a call that is counted down to."""

    number: int
    act: Callable[[], None]
    is_after: bool
    is_crash: bool


def run_known(container: Container, spec: ExecSpec) -> ByteStream:
    """`cat`, `echo` and `pwd`; for whatever else the engine says, on stdout, that it cannot be run."""
    if spec.argv[0] == "cat":
        return echo_end()
    if spec.argv[0] == "echo":
        return said_end(" ".join(spec.argv[1:]).encode() + b"\n")
    if spec.argv[0] == "pwd":
        return said_end(f"{spec.cwd or container.working_dir}\n".encode())
    return said_end(f"OCI runtime exec failed: exec: {spec.argv[0]!r}: executable file not found in $PATH\r\n".encode())


def start_known(argv: tuple[str, ...]) -> int | None:
    """The exit code of `true` and `false`, which end at once; everything else runs (None)."""
    return {"true": 0, "false": 1, "echo": 0}.get(argv[0])


def log_known(argv: tuple[str, ...]) -> bytes:
    """What `echo` writes."""
    return " ".join(argv[1:]).encode() + b"\n" if argv[0] == "echo" else b""


class FakeWorld:
    """What the fake engine is made of; containers, images, volumes and networks may be looked at and changed."""

    def __init__(self, on_exec: OnExec = run_known, on_start: OnStart = start_known) -> None:
        self.on_exec = on_exec
        self.on_start = on_start
        self.on_log: OnLog = log_known
        self.about = INFO
        self.containers: dict[ContainerId, FakeContainer] = {}
        self.images: dict[str, FakeImage] = {}
        self.volumes: dict[str, FakeVolume] = {}
        self.networks: dict[str, Network] = {}
        self.network_pool = 14  # subnets that the engine gives by itself
        self.registry = FakeRegistry()
        self.calls: list[str] = []
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._order: Order | None = None
        self._dead: Callable[[], None] | None = None
        self._is_down = False
        self.is_quiet = False  # what happens is told nobody
        self._numbers = itertools.count(1)
        self._watchers: list[MemoryObjectSendStream[EngineEvent]] = []

    def fail_next(self, call: str, error: WsError, *, takes_effect: bool = False) -> None:
        """Let the next call of this method fail; with `takes_effect` only its answer is lost."""
        self._faults[call].append(Fault(error=error, takes_effect=takes_effect))

    def fail_call(self, number: int, error: WsError) -> None:
        """Let the `number`th call from now fail, whichever it is; `has_failed` says whether there was one."""

        def fail() -> None:
            raise error

        self.at_call(number, fail)

    @property
    def has_failed(self) -> bool:
        """Whether what `at_call` or `fail_call` ordered was done."""
        return self._order is None

    def at_call(self, number: int, act: Callable[[], None], *, is_after: bool = False, is_crash: bool = False) -> None:
        """Do `act` at the `number`th call from now, before its effect or after; a crash goes on until `revive`."""
        self._order = Order(number=number, act=act, is_after=is_after, is_crash=is_crash)

    def revive(self) -> None:
        """Another server asks from now on."""
        self._order = self._dead = None

    def hang_next(self, call: str) -> None:
        """Let the next call of this method run into its deadline, without effect."""
        self._faults[call].append(Fault(error=None, takes_effect=False))

    async def go_down(self) -> None:
        """Stop answering: streams end; containers live on (live-restore)."""
        self._is_down = True
        for watcher in self._watchers:
            watcher.close()
        for container in self.containers.values():
            await container.cut()

    def come_back(self) -> None:
        """Answer again."""
        self._is_down = False

    async def die(self, container: ContainerId, exit_code: int) -> None:
        """A container's own command ends."""
        await self._end(self.containers[container], exit_code)

    def add_image(self, image: Image, tar: bytes = b"") -> None:
        """An image under its first tag (or its id), its files from an archive."""
        files = FileTree(entries_of("", tar)) if tar else FileTree()
        self.images[(*image.tags, image.id)[0]] = FakeImage(image=image, files=files)
        self._tell("image", "import", image.id, {})

    def add_volume(self, volume: Volume) -> None:
        """A volume that somebody else made, in whatever form."""
        self.volumes[volume.name] = FakeVolume(volume=volume, files=FileTree())

    @asynccontextmanager
    async def _called(self, call: str) -> AsyncGenerator[None]:
        if self._dead is not None:
            self._dead()
        self.calls.append(call)
        order = self._due()
        if order is not None and not order.is_after:
            order.act()
        await anyio.lowlevel.checkpoint()
        if self._is_down:
            raise EngineUnavailableError("no container engine answers at memory:// (from the test); start it")
        fault = self._faults[call].popleft() if self._faults[call] else None
        if fault is not None and fault.error is None:
            await anyio.sleep(DEADLINE_S)
            raise EngineTimeoutError("the engine at memory:// (from the test) did not answer in time")
        if fault is not None and fault.error is not None and not fault.takes_effect:
            raise fault.error
        yield
        if fault is not None and fault.error is not None:
            raise fault.error
        if order is not None and order.is_after:
            order.act()

    def _due(self) -> Order | None:
        """What is to be done at this call."""
        if self._order is None:
            return None
        self._order = replace(self._order, number=self._order.number - 1)
        if self._order.number > 0:
            return None
        order, self._order = self._order, None
        if order.is_crash:
            self._dead = order.act
        return order

    def _now(self, number: int) -> datetime:
        # The number tells apart what happens at one moment of virtual time.
        return BEGAN + timedelta(seconds=anyio.current_time(), microseconds=number)

    def _tell(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        for watcher in () if self.is_quiet else self._watchers:
            watcher.send_nowait(EngineEvent(kind=kind, action=action, id=name, labels=dict(labels)))

    def _container(self, container: ContainerId) -> FakeContainer:
        checked_id(container)
        if container not in self.containers:
            raise EngineNotFoundError(f"could not find container {container[:12]!r}: no such container")
        return self.containers[container]

    def _image(self, name: str) -> FakeImage:
        for tag, found in self.images.items():
            if name in (tag, found.image.id, tag.removesuffix(":latest"), *found.image.digests):
                return found
        raise image_missing(name, [tag for i in self.images.values() for tag in i.image.tags], is_podman=False)

    def _volume(self, name: str, labels: Mapping[str, str]) -> FakeVolume:
        if name not in self.volumes:
            created_at = self._now(next(self._numbers)).isoformat()
            self.add_volume(Volume(name=name, driver="local", labels=dict(labels), options={}, created_at=created_at))
            self._tell("volume", "create", name, {})
        return self.volumes[name]

    def _mounted(self, mount: VolumeMount, image: FakeImage) -> FileTree:
        files = self._volume(mount.volume, {}).files
        target = inner_path(mount.target)
        if mount.copies_image_content and len(files.entries) == 1 and image.files.has_directory(target):
            files.entries.update(image.files.below(target))
        return files

    async def _end(self, container: FakeContainer, exit_code: int) -> None:
        container.state, container.exit_code = ContainerState.EXITED, exit_code
        container.finished_at, container.host_ports, container.pid = self._now(next(self._numbers)), {}, 0
        self._tell("container", "die", container.id, container.spec.labels)
        await container.cut()


def check_platform(name: str, image: Image, platform: str) -> None:
    """As an engine does for an image that is there.

    Raises:
        ImageNotFoundError
    """
    if platform and platform != f"{image.os or 'linux'}/{image.architecture}":
        raise ImageNotFoundError(f"the image {name!r} is on the engine, but not for {platform}")


def digest(name: str) -> str:
    """An id as engines make them."""
    return hashlib.sha256(name.encode()).hexdigest()
