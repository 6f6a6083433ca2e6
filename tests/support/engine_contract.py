"""Where the contract of the engine door is run: on the fake, on Docker, and on Podman where one was named."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator

import anyio
import pytest

from support.fake_engine import FakeEngine
from support.images import BUSYBOX, SCRATCH, Tree
from support.real_engine import EngineGround, LabelledEngine
from support.registry import Registry, open_registry
from ws_mcp.core.engine.model import Container, ContainerSpec, ContainerState, Image
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.ids import ContainerId

NewName = Callable[[], str]
WAIT_S = 20  # of a test on a busy machine; never reached otherwise


class Ground:
    """What engines are known to do differently; everything else is the same."""

    refuses_read_only_root = True  # Podman puts files into a read-only root until the start
    reads_owners = True  # Podman gives every file to root in the archives that it hands out
    fills_volumes_on_create = True  # Podman: on the first start
    honours_no_copy = True  # Podman fills an empty volume from the image in any case
    tells_networks = True  # Podman has no events of networks before 5
    tells_log_bounds = True  # Podman's compatible answer leaves them out
    has_runtimes = True  # Podman has one, from its own configuration
    tells_want_of_memory = True  # Podman 4.3 looks for the note of it in another directory
    frees_networks_of_stopped = True  # Podman keeps a network while any container names it, running or not


class OnFake(Ground):
    """Runs a contract on the fake engine, on both event loops."""

    @pytest.fixture
    def engine(self) -> Engine:
        engine = FakeEngine()
        files = (
            Tree().directory("tmp", mode=0o1777).directory("etc").directory("home").directory("home/dev", owner=1000)
        )
        files.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\ndev:x:1000:1000::/home/dev:/bin/sh\n")
        image = Image(id="sha256:" + "b" * 64, tags=(BUSYBOX,), architecture="amd64", command=("sh",))
        engine.add_image(image, files.tar())
        engine.add_image(Image(id="sha256:" + "5" * 64, tags=(SCRATCH,), architecture="amd64"))
        return engine

    @pytest.fixture
    def registry(self, engine: FakeEngine) -> Registry:
        return engine.registry

    @pytest.fixture
    def new_name(self) -> NewName:
        numbers = itertools.count()
        return lambda: f"wsmcp-test-{next(numbers)}"


class OnDocker(Ground):
    """Runs a contract on the engine of this machine."""

    @pytest.fixture
    def engine(self, docker_engine: LabelledEngine) -> Engine:
        return docker_engine

    @pytest.fixture
    def new_name(self, engine_ground: EngineGround) -> NewName:
        return engine_ground.name

    @pytest.fixture
    def registry(self) -> Generator[Registry]:
        with open_registry() as registry:
            yield registry


class OnPodman(Ground):
    """Runs a contract on the Podman whose socket WS_MCP_PODMAN_SOCKET names."""

    refuses_read_only_root = False
    reads_owners = False
    fills_volumes_on_create = False
    honours_no_copy = False
    tells_networks = False
    tells_log_bounds = False
    has_runtimes = False
    tells_want_of_memory = False
    frees_networks_of_stopped = False

    @pytest.fixture
    def engine(self, podman_engine: LabelledEngine) -> Engine:
        return podman_engine

    @pytest.fixture
    def new_name(self, podman_ground: EngineGround) -> NewName:
        return podman_ground.name

    @pytest.fixture
    def registry(self) -> Generator[Registry]:
        with open_registry() as registry:
            yield registry


async def sleeper(engine: Engine, name: str) -> ContainerId:
    """A container that runs until it is stopped; without a network, which costs the most of a start."""
    spec = ContainerSpec(name=name, image=BUSYBOX, command=("sleep", "1000"), network="none")
    container = await engine.create(spec)
    await engine.start(container)
    return container


async def ended(engine: Engine, container: ContainerId) -> Container:
    """The container after its end, which events announce (Podman with one after "die", when it has cleaned up)."""
    with anyio.fail_after(WAIT_S):
        async with engine.open_events() as events:
            found = await engine.inspect(container)
            while found.state is not ContainerState.EXITED:
                async for event in events:
                    if event.id == container:
                        break
                found = await engine.inspect(container)
            return found
